"""The elements of generated pages: what a step of a kind acts on, and how a done step is described."""

import random
from dataclasses import dataclass, field

from envs.mind2web.flows import Step
from envs.mind2web.style import Style, slug

TAGS = {
    "button": "button button button button button button input a div span",
    "search": "button button button button button input input a svg i",
    "link": "a a a a a a a a a li span h3 div button",
    "menu": "a a button button li div span",
    "tab": "a a button button li div span",
    "type": "input input input input input input input textarea",
    "select": "select",
    "check": "input input input input label label label a span div button li",
    "radio": "input input label label button span",
    "option": "a a a li li button button div span label",
    "suggestion": "li li li li div div span a button",
    "date": "td td a a a button button div div span",
    "open": "button button button button div span a input label svg",
    "result": "a a a a a img img h3 li div button",
    "plus": "button button button svg span a",
}
"""Tags that the element of a kind comes with, as often as they do."""
CLASSES = {
    "button": ("button", "btn", "primary button", "cta button", "submit button"),
    "search": ("search button", "submit button", "search btn", "button"),
    "link": ("nav link", "link", "menu link", "menu item", "subnav link", "item"),
    "menu": ("nav item", "menu toggle", "nav button", "menu link"),
    "tab": ("tab", "nav tab", "tab link"),
    "type": ("input", "text input", "search input", "form input", "field"),
    "select": ("select", "form select", "select input"),
    "check": ("checkbox", "filter item", "filter label", "facet checkbox", "checkbox label", "label"),
    "radio": ("radio", "radio label", "radio input", "label"),
    "option": ("dropdown item", "option", "menu item", "list item", "select option"),
    "suggestion": ("result item", "suggestion", "autocomplete item", "search option", "typeahead item"),
    "date": ("calendar day", "day", "datepicker day", "date cell", "picker cell"),
    "open": ("dropdown toggle", "select button", "filter toggle", "date input", "trigger", "button"),
    "result": ("product link", "card link", "result title", "tile link", "item link"),
    "plus": ("stepper button", "increment button", "counter plus"),
}
ROLES = {
    "check": "checkbox",
    "radio": "radio",
    "option": "option",
    "suggestion": "option",
    "date": "gridcell",
    "tab": "tab",
}
TYPES = {"button": "button", "search": "submit", "check": "checkbox", "radio": "radio", "open": "text"}
TOLD = {
    "button": "button button button button link span",
    "search": "button button button button span svg",
    "link": "link link link link span heading div",
    "menu": "button link tab menuitem",
    "tab": "tab tab link span",
    "type": "textbox textbox textbox searchbox combobox",
    "select": "combobox combobox combobox select",
    "check": "checkbox checkbox label span link div",
    "radio": "radio label span",
    "option": "option option span link div generic button",
    "suggestion": "option option span div listitem button",
    "date": "gridcell link generic button div span",
    "open": "button button span textbox combobox div",
    "result": "link link heading img",
    "plus": "button button svg",
}
"""How Mind2Web names what was acted on."""
REGIONS = ("USA", "United States", "City", "All airports", "CA", "UK", "Downtown", "TX", "Europe")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
LABEL = 50
"""Characters of what was acted on that a description holds."""


@dataclass(frozen=True, slots=True)
class Made:
    """An element that is not yet in a page."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict[str, str])
    text: str = ""


def element(draw: random.Random, style: Style, step: Step, *, labelled: bool) -> Made:
    """What a step acts on.

    Args:
        draw: Decides which of the ways.
        style: The site's.
        step: The step.
        labelled: Whether attributes repeat the text.
    """
    kind = step.kind if step.kind in TAGS else "button"
    tag = draw.choice(TAGS[kind].split())
    text = _text(draw, kind, step.label)
    attributes: dict[str, str] = {}
    if tag in ("input", "textarea", "select"):
        _fill(draw, style, kind, tag, step.label, attributes, labelled=labelled)
        text = ""
    elif tag in ("svg", "i", "img"):
        attributes.update({"alt": text} if tag == "img" else {"role": "img"} if draw.random() < 0.5 else {})
        if tag != "img" and labelled:
            attributes["aria_label"] = text
    else:
        if kind in ROLES and draw.random() < 0.35:
            attributes["role"] = ROLES[kind]
        elif kind in ("button", "open", "plus") and tag != "button" and draw.random() < 0.6:
            attributes["role"] = "button"
        if labelled:
            way = draw.random()
            if way < 0.6:
                attributes["aria_label"] = text
            elif way < 0.7:
                attributes["title"] = text
            elif way < 0.9:
                attributes["id"] = style.id(draw.choice(CLASSES[kind]), step.label)
        if tag == "button" and draw.random() < 0.6:
            attributes["type"] = "submit" if kind == "search" else draw.choice(("button", "button", "submit"))
        if "id" not in attributes and draw.random() < 0.12:
            attributes["id"] = style.id(draw.choice(CLASSES[kind]), draw.choice((step.label, kind)))
    if draw.random() < 0.93 or not attributes:
        attributes["class"] = style.classes(
            draw.choice(CLASSES[kind]), step.label if labelled and draw.random() < 0.4 else ""
        )
    if tag == "svg":
        attributes["class"] = f"{style.prefix}-icon"
    return Made(tag, attributes, text)


def describe_step(draw: random.Random, step: Step) -> str:
    """A step as an action before, in Mind2Web's words."""
    role = draw.choice(TOLD[step.kind].split()) if step.kind in TOLD else step.kind
    label = _text(draw, step.kind, step.label)
    if role == "svg" or (role in ("span", "div", "img") and draw.random() < 0.25):
        label = ""
    label = label if len(label) <= LABEL else label[:LABEL] + "..."
    if step.kind == "menu" and draw.random() < 0.4:
        return f"[{role}]  {label} -> HOVER"
    value = f": {step.value}" if step.value else ""
    return f"[{role}]  {label} -> {step.operation}{value}"


def _fill(
    draw: random.Random,
    style: Style,
    kind: str,
    tag: str,
    label: str,
    attributes: dict[str, str],
    *,
    labelled: bool,
) -> None:
    """The attributes of a form's element."""
    name = style.id("", label) if labelled or kind in ("type", "select") else f"option{draw.randrange(9)}"
    if tag == "select":
        way = draw.random()
        if way < 0.45:
            attributes["name"] = name
        if way > 0.3:
            attributes["id"] = name if draw.random() < 0.6 or labelled else str(draw.randrange(10**8, 10**9))
        if draw.random() < 0.3:
            attributes["aria_label"] = label
        return
    if tag == "input":
        attributes["type"] = TYPES.get(
            kind, draw.choice(("text", "text", "text", "text", "search", "tel", "number"))
        )
    if kind in ("type", "open"):
        if labelled or draw.random() < 0.5:
            ways = (
                "placeholder",
                "aria_label",
                "placeholder aria_label",
                "name",
                "id",
                "aria_label id",
                "placeholder name",
            )
            for way in draw.choice(ways).split():
                attributes[way] = name if way in ("name", "id") else label
        if "id" not in attributes and draw.random() < 0.4:
            attributes["id"] = draw.choice((name, f"{style.prefix}-input-{draw.randrange(20)}"))
        if draw.random() < 0.15:
            attributes["role"] = "combobox"
        return
    if kind in ("button", "search"):
        attributes["type"] = "submit"
        attributes["value"] = label if labelled or draw.random() < 0.6 else "Submit"
        return
    if labelled or draw.random() < 0.3:
        attributes[draw.choice(("name", "id", "aria_label", "value"))] = (
            label if draw.random() < 0.3 else name
        )
    if draw.random() < 0.5:
        attributes.setdefault("name", draw.choice((name, slug(label), "options", "filter")))
    if draw.random() < 0.4:
        attributes.setdefault("value", draw.choice(("on", "1", "true", "false", slug(label))))


def _text(draw: random.Random, kind: str, label: str) -> str:
    """Return an element's text: the label, or with more about it, as sites have it."""
    way = draw.random()
    if kind == "date":
        month, _, day = label.partition(" ")
        weekday, year = draw.choice(WEEKDAYS), draw.choice(("2023", "2024", "2025"))
        return draw.choice(
            (
                day,
                day,
                f"{weekday}, {month} {day}, {year}",
                f"{month[:3]} {day}, {year}",
                f"{day} {month} {year}",
                f"{day}, {month} {year}",
                f"{weekday[:3]} {month[:3]} {day} {year}",
                f"{month} {day}",
            )
        )
    if kind == "suggestion" and way < 0.5:
        return f"{label}, {draw.choice(REGIONS)}"
    if kind == "check" and way < 0.35:
        return f"{label} ({draw.randint(1, 900)})"
    if kind == "plus" and label:
        return draw.choice((f"Add {label}", f"Increase {label}", f"{label} plus", "+"))
    if kind == "result" and way < 0.6:
        return f"{draw.choice(('New', 'Classic', 'Original', 'The best', 'Deluxe', 'Popular'))} {label}"
    if kind in ("button", "search") and way < 0.15:
        return label.upper()
    return label
