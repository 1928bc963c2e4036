"""A web page as Mind2Web records it: cleaned HTML whose elements carry `backend_node_id`.

Records may hold the beginning of a page only; what is cut off or ill-formed is read as well as it can be. The
reader keeps every element where it stands: libxml2's parser (`lxml`) applies HTML's rules of nesting, and
drops or moves elements in 18 of 119 recorded beginnings.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

NODE_ID = "backend_node_id"
TEXT = "text"
"""The pseudo element that holds a text in cleaned HTML."""
SHOWN = (
    "role",
    "aria_label",
    "aria-label",
    "placeholder",
    "name",
    "type",
    "value",
    "title",
    "alt",
    "label",
    "id",
    "class",
)
"""Attributes that describe an element, the most descriptive first."""
MAX_ATTRIBUTE = 40
MAX_DEPTH = 400


@dataclass(eq=False)
class Node:
    """An element."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict[str, str])
    children: list["Node"] = field(default_factory=list["Node"])
    words: str = ""
    """The text that stands directly in it."""
    parent: "Node | None" = None

    @property
    def id(self) -> str:
        """Its `backend_node_id`; empty where it has none."""
        return self.attributes.get(NODE_ID, "")

    def walk(self) -> Iterator["Node"]:
        """Itself and all below it, in the page's order."""
        stack: list[Node] = [self]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(reversed(node.children))

    def text(self, limit: int = 80) -> str:
        """What stands in it and below it, one blank between words, cut after `limit` characters."""
        found: list[str] = []
        room = limit
        for node in self.walk():
            if node.words:
                found.append(node.words)
                room -= len(node.words) + 1
                if room <= 0:
                    break
        return clip(" ".join(" ".join(found).split()), limit)

    def ancestors(self) -> Iterator["Node"]:
        """The elements around it, the nearest first."""
        node = self.parent
        while node is not None:
            yield node
            node = node.parent


class Page:
    """A page's elements by their ids.

    Args:
        html: Cleaned HTML; may be empty or cut off anywhere.
    """

    def __init__(self, html: str) -> None:
        self.root = _parse(html)
        self.nodes = {node.id: node for node in self.root.walk() if node.id}

    def excerpt(self, wanted: list[str], limit: int) -> str:
        """The part of the page around the wanted elements, as an indented outline.

        An element stands there if it is wanted or around a wanted one and has a text, and so do the
        texts beside a wanted one.

        Args:
            wanted: Ids of elements.
            limit: Characters; whole lines are left out at the end.
        """
        keep: dict[Node, bool] = {}
        for node_id in wanted:
            node = self.nodes.get(node_id)
            if node is None:
                continue
            keep[node] = True
            for around in node.ancestors():
                keep.setdefault(around, False)
            for beside in node.parent.children if node.parent else []:
                if beside.text(1):
                    keep.setdefault(beside, True)
        return _cut("\n".join(_outline(self.root, keep, 0)), limit)


def describe(tag: str, attributes: dict[str, str], text: str) -> str:
    """One element in a line: `<button type=submit> Search`."""
    shown = [
        f"{name.replace('_', '-')}={clip(value, MAX_ATTRIBUTE)}"
        for name in SHOWN
        if (value := " ".join(attributes.get(name, "").split()))
    ][:4]
    return " ".join(part for part in (f"<{' '.join([tag, *shown])}>", text) if part)


def clip(text: str, limit: int) -> str:
    """A text cut after so many characters, three dots at its end."""
    return text if len(text) <= limit else text[: max(0, limit - 3)].rstrip() + "..."


def _outline(node: Node, keep: dict[Node, bool], depth: int) -> Iterator[str]:
    inner = depth
    if node in keep and node.tag != TEXT:
        whole = keep[node]
        text = node.text() if whole else " ".join(node.words.split())
        if whole or text or describe(node.tag, node.attributes, "") != f"<{node.tag}>":
            yield "  " * min(depth, 8) + describe(node.tag, node.attributes, text)
            inner += 1
    elif keep.get(node):
        yield "  " * min(depth, 8) + node.text()
    for child in node.children:
        if any(below in keep for below in child.walk()):
            yield from _outline(child, keep, inner)


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    return text[: text.rfind("\n", 0, limit) if "\n" in text[:limit] else limit]


def _parse(html: str) -> Node:
    reader = _Reader()
    # A tag that was cut in two is no text.
    reader.feed(html if html.rfind(">") >= html.rfind("<") else html[: html.rfind("<")])
    reader.close()
    return reader.root


class _Reader(HTMLParser):
    """Builds the tree; an end without its beginning is passed over."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Node("page")
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        node = self._add(tag, attrs)
        if len(self._open) < MAX_DEPTH:
            self._open.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element without content."""
        self._add(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        """An element ends, and with it those that were left open in it."""
        for position in range(len(self._open) - 1, 0, -1):
            if self._open[position].tag == tag:
                del self._open[position:]
                return

    def handle_data(self, data: str) -> None:
        """A text."""
        if data.strip():
            node = self._open[-1]
            node.words = f"{node.words} {data.strip()}".strip()

    def _add(self, tag: str, attrs: list[tuple[str, str | None]]) -> Node:
        around = self._open[-1]
        node = Node(tag, {name: value or "" for name, value in attrs}, parent=around)
        around.children.append(node)
        return node
