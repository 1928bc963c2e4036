"""The generated pages around the right element: the head with its texts, and what stands below it."""

import random
from html import escape

from envs.mind2web.elements import Made, element
from envs.mind2web.flows import Flow, Step
from envs.mind2web.page import NODE_ID
from envs.mind2web.record import Element
from envs.mind2web.style import Style

CHROME = (
    *(
        "Sign in",
        "Help",
        "Contact us",
        "Careers",
        "Gift cards",
        "Privacy",
        "Store locator",
        "My account",
        "Cart",
        "Log in",
    ),
    *(
        "English",
        "Track order",
        "About us",
        "Feedback",
        "Accessibility",
        "Get the app",
        "USD",
        "Favorites",
        "Register",
    ),
    *(
        "Rewards",
        "Support",
        "Notifications",
        "Menu",
        "Saved",
        "Join now",
        "Business",
        "Español",
        "Newsletter",
        "FAQ",
    ),
)
BANNERS = (
    *(
        "Free shipping on orders over $35",
        "Save up to 30% this week",
        "Members save more. See details",
        "Important notice",
    ),
    *(
        "We use cookies to improve your experience",
        "New season, new arrivals. Shop now",
        "Spring sale ends Sunday",
    ),
    *(
        "Download our app and earn points",
        "Changes to opening hours",
        "Plan ahead for the holidays",
        "Limited time offer",
    ),
)
PICTURES = (
    *(
        "Logo",
        "Advertisement",
        "Hero image",
        "Award badge",
        "Map preview",
        "Sunset over the sea",
        "App Store",
        "Google Play",
    ),
    *(
        "Customer smiling",
        "Facebook",
        "Instagram",
        "Twitter",
        "YouTube",
        "Promo",
        "Arrow",
        "Close",
        "User avatar",
        "Star",
    ),
    *(
        "Two people at a table",
        "Outdoor furniture",
        "City skyline at night",
        "Free delivery",
        "More info",
        "Gift card",
    ),
    *(
        "A family on the beach",
        "Mountain lake",
        "Three friends laughing",
        "Credit card",
        "Sponsored",
        "Background image",
    ),
)
FRAMES = (
    "container",
    "wrapper",
    "content",
    "inner",
    "row",
    "grid",
    "panel",
    "modal",
    "card",
    "section",
    "group",
    "box",
    "form item",
    "list",
)
CONTROLS = (
    *(
        "Previous slide",
        "Next slide",
        "Larger map",
        "Expand",
        "Close",
        "Open chat",
        "Feedback",
        "Scroll to top",
        "Play video",
    ),
    *(
        "Share",
        "Dismiss",
        "Notifications",
        "Account options",
        "Open menu",
        "Main menu",
        "Wishlist",
        "Show navigation",
    ),
)
"""Buttons that no task needs."""
SIDES = ("h2", "p", "fieldset", "strong", "nav", "section", "ul", "li", "span", "td", "form", "aside")
DEEP = 6
"""Frames in one another at most."""


class Head:
    """The beginning of a page.

    Args:
        draw: Decides how it is made.
        style: The site's.
        flow: The visit; its menu stands there.
        target: The right element, where it stands there.
        hidden: The right element's text, where it stands below: nothing here has the same.
    """

    def __init__(
        self, draw: random.Random, style: Style, flow: Flow, target: Made | None, hidden: str = ""
    ) -> None:
        self._draw, self._style = draw, style
        self._parts: list[str] = []
        self._target = target
        self._hidden = hidden
        self._opened: list[str] = []
        self.last = draw.randint(3, 5000)
        """The highest id so far."""
        self.candidates: list[Element] = []
        """Elements one may choose, in the page's order."""
        self.target_id = ""
        known = draw.choice((0, 4, 8, 14, 200, 200, 200, 200, 200)) if target is None else 200
        self._room = known
        """Elements whose text is still within the part that is known."""
        self._make(flow)
        self.html = "".join(self._parts)

    def _make(self, flow: Flow) -> None:
        draw = self._draw
        tags = ["html", "body", *["div"] * draw.choice((0, 1, 1, 2, 3))]
        for tag in tags:
            self._open(tag, self._frame(tag))
        if draw.random() < 0.5:
            self._leaf(Made("a", {"class": self._style.classes("skip link")}, "Skip to main content"))
        if draw.random() < 0.6:
            self._banner()
        parts = [self._logo, self._utilities, lambda: self._menu(flow), self._search]
        draw.shuffle(parts)
        for tag in ["header", *["div"] * draw.choice((0, 0, 1, 1, 2))]:
            self._open(tag, self._frame("header"))
        for part in parts:
            part()
        for _ in range(draw.randint(1, DEEP)):
            self._open(
                draw.choice(("div", "div", "main", "section", "form", "ul", "h1")), self._frame("main")
            )
            if draw.random() < 0.5:
                text = draw.choice(BANNERS) if draw.random() < 0.6 else draw.choice(topics_of(flow))
                self._leaf(Made(draw.choice(("h1", "h2", "p", "a", "span", "button")), {}, text))
        for _ in range(draw.randint(4, 16)):
            self._leaf(Made("div", {"class": self._style.classes(draw.choice(FRAMES))}))

    def _banner(self) -> None:
        for _ in range(self._draw.randint(1, 4)):
            self._open("div", self._frame("banner"))
        self._leaf(Made("a", {"class": self._style.classes("banner link")}, self._draw.choice(BANNERS)))
        self._close()

    def _logo(self) -> None:
        self._open("div", self._frame("logo"))
        self._leaf(Made("a", {"aria_label": "Home page", "class": self._style.classes("logo link")}))
        if self._draw.random() < 0.6:
            self._leaf(Made(self._draw.choice(("svg", "img")), {"class": self._style.classes("logo")}))
        self._close()

    def _utilities(self) -> None:
        self._list(self._draw.sample(CHROME, self._draw.randint(2, 6)), "utility")
        for _ in range(self._draw.choice((0, 0, 1, 1, 2, 3))):
            self._leaf(control(self._draw, self._style))

    def _menu(self, flow: Flow) -> None:
        self._open("nav", self._frame("nav"))
        labels = self._draw.sample(flow.menu, min(len(flow.menu), self._draw.randint(4, 10)))
        labels = [label for label in labels if label != self._hidden]
        if self._target is not None:
            if self._target.text in labels:
                labels.remove(self._target.text)
            labels.insert(self._draw.randint(0, min(4, len(labels))), "")
        self._list(labels, "nav")
        self._close()

    def _list(self, labels: list[str], block: str) -> None:
        draw = self._draw
        tag = draw.choice(("a", "a", "a", "button"))
        rows = draw.random() < 0.6
        dressed = draw.choice(("", "", "", "menuitem", "button", "tab"))
        item, inner = self._style.classes(f"{block} item"), self._style.classes(f"{block} link")
        self._open("ul" if rows else "div", self._frame("list"))
        for label in labels:
            made = Made(tag, {"role": dressed, "class": inner} if dressed else {"class": inner}, label)
            if draw.random() < 0.1 and label:
                made.attributes["id"] = self._style.id(f"{block} link", label)
            if not label and self._target is not None:
                made = self._target
                self.target_id = str(self.last + 1 + rows)
            if rows:
                self._open("li", {"class": item}, step=1)
            self._leaf(made, step=1)
            if rows:
                self._close()
        self._close()

    def _search(self) -> None:
        draw = self._draw
        if draw.random() < 0.4:
            return
        self._open("form", {"role": "search", "class": self._style.classes("search form")})
        self._leaf(
            Made(
                "input",
                {"type": "search", "placeholder": "Search", "class": self._style.classes("search input")},
            )
        )
        if draw.random() < 0.6:
            self._leaf(Made("button", {"type": "submit", "class": self._style.classes("search icon")}))
        self._close()

    def _frame(self, role: str) -> dict[str, str]:
        draw = self._draw
        attributes: dict[str, str] = {}
        if draw.random() < 0.12:
            attributes["id"] = self._style.id("", role)
        if draw.random() < 0.85:
            attributes["class"] = self._style.classes(f"{role} {draw.choice(FRAMES)}")
        return attributes

    def _open(self, tag: str, attributes: dict[str, str], step: int = 0) -> None:
        self._put(tag, attributes, step)
        self._parts_of(f'<{tag} {NODE_ID}="{self.last}">')
        self._opened.append(tag)

    def _close(self) -> None:
        tag = self._opened.pop()
        self._parts.append(f"</{tag}>" if self._room > 0 else "")

    def _leaf(self, made: Made, step: int = 0) -> None:
        self._put(made.tag, made.attributes, step)
        inner = f"<text>{escape(made.text)}</text>" if made.text else ""
        self._parts_of(f'<{made.tag} {NODE_ID}="{self.last}">{inner}</{made.tag}>')

    def _put(self, tag: str, attributes: dict[str, str], step: int) -> None:
        self.last += step or self._draw.randint(1, 4)
        if self._draw.random() < 0.93:
            self.candidates.append(Element(str(self.last), tag, attributes))

    def _parts_of(self, html: str) -> None:
        if self._room > 0:
            self._parts.append(html)
            self._room -= 1


def topics_of(flow: Flow) -> list[str]:
    """What a visit is about: the words of its steps."""
    return [
        step.value or step.label for step in flow.steps if step.due and (step.value or step.pool)
    ] or list(flow.menu)


def control(draw: random.Random, style: Style) -> Made:
    """Return a button that no task needs."""
    label, tag = draw.choice(CONTROLS), draw.choice(("button", "button", "a", "span", "div", "i"))
    attributes = {} if tag in ("button", "i") else {"role": "button"}
    way = draw.random()
    if way < 0.6:
        attributes["aria_label"] = label
    elif way < 0.8:
        attributes["id"] = style.id("button", label)
    if tag == "button" and draw.random() < 0.6:
        attributes["type"] = "button"
    attributes["class"] = style.classes(
        draw.choice(("toggle", "icon button", "control", "menu toggle", "header button"))
    )
    return Made(tag, attributes)


def below(
    draw: random.Random,
    style: Style,
    like: list[Step],
    rivals: list[Made],
    topics: list[str],
    room: int,
    *,
    listing: bool,
) -> list[Made]:
    """What else of the page, without its text, is among the candidates.

    Args:
        draw: Decides what.
        style: The site's.
        like: Steps whose elements stand beside the right one.
        rivals: Elements of other steps.
        topics: What the page is about.
        room: How many candidates there may be.
        listing: A long list of the same things stands there.
    """
    found = list(rivals)
    words = [step.label for step in like] + topics
    for step in like[: draw.choice((0, 0, 0, 0, 1, 1, 2, 3, 5, 8))]:
        found.append(element(draw, style, step, labelled=draw.random() < 0.6))
    if listing:
        return [*found, *_listing(draw, style, words, room - draw.randint(0, 8))]
    for _ in range(draw.choice((0, 0, 0, 1, 1, 2))):
        found.append(control(draw, style))
    for _ in range(draw.choice((0, 0, 1, 2, 3, 4, 5, 6, 7, 9, 13, 20))):
        found.append(_picture(draw, style, words))
    for _ in range(draw.choice((0, 0, 1, 2, 3, 5))):
        tag = draw.choice(("div", "div", "div", draw.choice(SIDES)))
        found.append(Made(tag, {"class": style.classes(draw.choice(FRAMES))} if draw.random() < 0.9 else {}))
    return found


def _listing(draw: random.Random, style: Style, words: list[str], count: int) -> list[Made]:
    """Rows of the same build."""
    shapes = draw.sample(("div", "a", "img", "span", "li", "div", "h3", "svg", "button"), draw.randint(2, 4))
    names = {shape: style.classes(f"card {draw.choice(FRAMES)}") for shape in shapes}
    has_label = draw.random() < 0.5
    rows: list[Made] = []
    while len(rows) < count:
        for shape in shapes:
            attributes = {"class": names[shape]}
            if shape == "img" or (has_label and shape == "a"):
                attributes["alt" if shape == "img" else "title"] = _caption(draw, words)
            rows.append(Made(shape, attributes))
    return rows[: max(0, count)]


def _picture(draw: random.Random, style: Style, words: list[str]) -> Made:
    attributes = {"alt": _caption(draw, words)} if draw.random() < 0.95 else {"role": "presentation"}
    if draw.random() < 0.6:
        attributes["class"] = style.classes(
            draw.choice(("image", "card image", "logo", "icon", "tile image"))
        )
    return Made("img", attributes)


def _caption(draw: random.Random, words: list[str]) -> str:
    first = draw.choice(words) if words and draw.random() < 0.3 else draw.choice(PICTURES)
    return (
        first
        if draw.random() < 0.6
        else f"{draw.choice(('New', 'White', 'Photo of', 'View', 'Black', '2022'))} {first}"
    )
