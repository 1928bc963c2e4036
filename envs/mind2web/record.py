"""One step of a recorded visit: what was to be done, what had been done, and what came next."""

import zlib
from dataclasses import dataclass
from functools import cached_property

from envs.mind2web.page import Page, describe

OPERATIONS = ("CLICK", "TYPE", "SELECT")


@dataclass(frozen=True, slots=True)
class Element:
    """A candidate: an element of the page that something could be done with."""

    id: str
    """Its `backend_node_id`."""
    tag: str
    attributes: dict[str, str]
    rank: int | None = None
    """Its place in a ranking, from 0; None where none was given."""


@dataclass(frozen=True)
class Record:
    """A step. Its task for an agent is to find the next element and operation."""

    id: str
    split: str
    website: str
    task: str
    """What the visit is for."""
    previous: tuple[str, ...]
    """What was done before, as Mind2Web writes it: `[button]  Search -> CLICK`."""
    operation: str
    """CLICK, TYPE or SELECT."""
    value: str
    """What is typed or selected; empty for CLICK."""
    right: frozenset[str]
    """Ids of the elements that are right; empty where none is among the candidates."""
    candidates: tuple[Element, ...]
    packed: bytes = b""
    """The page's HTML, compressed by zlib."""

    @cached_property
    def page(self) -> Page:
        """The page, as far as it was recorded."""
        return Page(zlib.decompress(self.packed).decode() if self.packed else "")

    @property
    def wanted(self) -> str:
        """The operation and its value: `TYPE san diego`."""
        return f"{self.operation} {self.value}".strip()

    def line(self, element: Element, text_chars: int) -> str:
        """A candidate as a choice is written: its tag, its descriptive attributes, its text."""
        node = self.page.nodes.get(element.id)
        attributes = {**(node.attributes if node else {}), **element.attributes}
        return describe(element.tag, attributes, node.text(text_chars) if node else "")


def pack(html: str) -> bytes:
    """A page's HTML as a record keeps it."""
    return zlib.compress(html.encode()) if html else b""
