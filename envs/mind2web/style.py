"""How a generated site names its classes and ids: by a framework's ways, most of which mean little."""

import random
import re

LETTERS = "abcdefghijklmnopqrstuvwxyz"
MIXED = LETTERS + LETTERS.upper() + "0123456789"
FAMILIES = (
    "plain",
    "plain",
    "bem",
    "bem",
    "bootstrap",
    "hash",
    "hash",
    "styled",
    "modules",
    "modules",
    "raw",
    "angular",
    "legacy",
)
PREFIXES = (
    *(
        "app",
        "ui",
        "c",
        "m",
        "l",
        "js",
        "gl",
        "mx",
        "rk",
        "vt",
        "hp",
        "tz",
        "nf",
        "qa",
        "pd",
        "sx",
        "bk-x",
        "wf",
    ),
    *("site", "core", "lux", "zen", "fx", "dt", "kit", "neo", "art", "mod", "pb", "ox", "ev", "yo"),
)
UTILITIES = (
    *(
        "flex",
        "items-center",
        "px-4",
        "mb-2",
        "row",
        "col-md-6",
        "d-none",
        "d-lg-block",
        "clearfix",
        "relative",
    ),
    *(
        "active",
        "hidden-xs",
        "is-open",
        "mt-3",
        "w-100",
        "text-center",
        "pull-left",
        "no-gutters",
        "sticky",
        "inner",
    ),
)
BOOTSTRAP = {
    "button": "btn btn-primary",
    "link": "nav-link",
    "input": "form-control",
    "select": "form-control custom-select",
    "checkbox": "custom-control-input",
    "label": "custom-control-label",
    "option": "dropdown-item",
    "toggle": "btn dropdown-toggle",
    "menu": "navbar-nav",
    "container": "container-fluid",
    "item": "list-group-item",
}


class Style:
    """One site's way.

    Args:
        draw: Decides which.
    """

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self.family = draw.choice(FAMILIES)
        self.prefix = draw.choice(PREFIXES)
        self._block = draw.choice(("", "", "search", "booking", "main", "global", "page", "widget"))
        self._known: dict[str, str] = {}

    def classes(self, role: str, word: str = "") -> str:
        """The classes of an element.

        Args:
            role: What it is: `button`, `nav item`.
            word: What it is for, where the class may show it: `search`.
        """
        key = f"{role}/{word}"
        if key not in self._known or self._draw.random() < 0.1:
            self._known[key] = self._make(role.split(), slug(word).split("-")[:3] if word else [])
        return self._known[key]

    def id(self, role: str, word: str) -> str:
        """An id of an element."""
        words = [*slug(word).split("-")[:3], *role.split()[-1:]]
        way = self._draw.random()
        if way < 0.4:
            return _camel(words)
        if way < 0.75:
            return "-".join(words)
        if way < 0.9:
            return f"{self.prefix}_{'_'.join(words)}"
        return f"{self._hash(8, MIXED)}_{'-'.join(words[:1])}"

    def _make(self, role: list[str], word: list[str]) -> str:
        draw = self._draw
        words = [*word, *role]
        match self.family:
            case "plain":
                made = "-".join(words) if draw.random() < 0.7 else " ".join((role[-1], "-".join(words)))
            case "bem":
                block = f"{self.prefix}-{self._block or role[0]}"
                made = f"{block}__{'-'.join(words)}"
                if draw.random() < 0.4:
                    element = f"{self.prefix}-{role[-1]}"
                    made = f"{element} {element}--{draw.choice(('small', 'primary', 'large', 'default'))}"
            case "bootstrap":
                made = BOOTSTRAP.get(role[-1], "-".join(words))
                if word and draw.random() < 0.4:
                    made += f" {'-'.join(words)}"
            case "hash":
                made = f"css-{self._hash(7)}"
                if draw.random() < 0.4:
                    made += f" e{self._hash(8)}{draw.randrange(9)}"
                if draw.random() < 0.25:
                    made += f"-{_title(words)}"
            case "styled":
                tail = f"sc-{self._hash(6)}-{draw.randrange(9)} {self._hash(5, MIXED)}"
                made = f"{_title(role)}__{_title(words)}-{tail}"
            case "modules":
                made = draw.choice(
                    (
                        f"styles_{_title(words)}__{self._hash(5, MIXED)}",
                        f"{_camel(words)}_{self._hash(5, MIXED)}",
                    )
                )
            case "raw":
                made = draw.choice(
                    (f"_{self._hash(7)}", f"{self._hash(10)} {self._hash(10)}", self._hash(5, MIXED))
                )
            case "angular":
                made = f"{'-'.join(words)} ng-star-inserted" if draw.random() < 0.6 else "ng-binding ng-scope"
            case _:
                made = f"js-{'-'.join(words)} {_camel(words)}" if draw.random() < 0.4 else _camel(words)
        if draw.random() < 0.25:
            made += " " + " ".join(draw.sample(UTILITIES, draw.randint(1, 3)))
        return made

    def _hash(self, length: int, letters: str = LETTERS + "0123456789") -> str:
        return "".join(self._draw.choices(letters, k=length))


def slug(text: str) -> str:
    """A text in lower case with hyphens between its words."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _camel(words: list[str]) -> str:
    return words[0] + _title(words[1:])


def _title(words: list[str]) -> str:
    return "".join(word.capitalize() for word in words)
