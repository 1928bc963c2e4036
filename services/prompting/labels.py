r"""Lines of a model's answer: their labels (`THOUGHT:`, `**Action 1:**`, `## Action`) and their fences.

Every function takes time that is linear in the length of the text. Lines end at `\n` only: U+2028, U+0085
and their like are part of a line.
"""

import re
from dataclasses import dataclass

THOUGHT = frozenset({"thought", "think"})
ACTION = frozenset({"action", "act"})
OBSERVATION = frozenset({"observation"})
FENCE = "```"
_LABEL = re.compile(
    r"""(?P<bullet>(?:[-+*>]|\d{1,2}[.)])[ \t]{1,4})?  # a bullet, a quote or a number
    (?P<heading>\#{1,6}[ \t]{0,4})?
    (?P<emphasis>[*_`]{0,3})
    (?P<word>thought|think|action|act|observation)
    (?:[ \t]{0,4}\#?\d{1,3})?                       # Action 1
    (?P<closed>[*_`]{0,3})[ \t]{0,8}(?P<colon>[:\uff1a]?)""",
    re.IGNORECASE | re.VERBOSE,
)
_CHOICE = re.compile(r"answer[ \t]{0,4}[:\uff1a][ \t]{0,4}[a-z][ \t]{0,4}[.):]?", re.IGNORECASE)
_TICKS = re.compile(r"`{3,}")
_NAMES = r"think|thinking|thought|reasoning"
_OPENING = re.compile(rf"<(?:{_NAMES})>|\[THINK\]", re.IGNORECASE)
_CLOSING = re.compile(rf"</(?:{_NAMES})>|\[/THINK\]", re.IGNORECASE)
_STRUCTURE = re.compile(r"\s*(?:\{|```)")
_TAG = re.compile(rf"</?(?:{_NAMES})>|\[/?THINK\]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Label:
    """A label at the start of a line."""

    word: str
    """In lower case."""
    rest: str
    """What follows the label in its line."""
    mark: str
    """The emphasis or heading around it; empty for a plain label."""
    emphasis: str
    """An emphasis that was opened before the label and is still open after it."""
    place: str
    """The blanks and the bullet before it."""
    case: str
    """How it is spelled: `upper`, `lower` or `title`."""

    def may_end(self, opening: "Label") -> bool:
        """Return whether it ends the action of another label: it has to look the same, or plainer."""
        same_look = self.mark in ("", opening.mark) and self.place.strip() in ("", opening.place.strip())
        return same_look and self.case == opening.case and len(self.place) <= len(opening.place)


def read_label(line: str) -> Label | None:
    """Return the label that a line begins with, or None.

    A label has a colon, or it is a heading or emphasised and alone in its line.
    """
    text = line.lstrip()
    found = _LABEL.match(text)
    if not found:
        return None
    rest, emphasis = text[found.end() :], found["emphasis"]
    if not found["colon"]:
        alone = not rest.strip() and (found["heading"] or (emphasis and found["closed"]))
        if not alone:
            return None
    is_open = emphasis if emphasis and not found["closed"] else ""
    if is_open and rest.startswith(is_open):
        rest, is_open = rest[len(is_open) :], ""
    mark = f"{'#' if found['heading'] else ''}{emphasis}"
    bullet = re.sub(r"\d+", "0", found["bullet"] or "")
    place = f"{line[: len(line) - len(text)]}{bullet}"
    return Label(found["word"].lower(), rest, mark, is_open, place, _case(found["word"]))


def _case(word: str) -> str:
    return "upper" if word.isupper() else "lower" if word.islower() else "title"


def is_choice(line: str) -> bool:
    """Return whether a line is AgentBench's `Answer: C.`, the first of the three lines of an action."""
    return bool(_CHOICE.fullmatch(line.strip()))


class Fences:
    """The fenced blocks among some lines.

    Args:
        lines: The lines, without their line breaks.
    """

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._next: dict[int, list[int]] = {}

    def end(self, start: int, opening: str) -> int | None:
        """Return the line that closes a block, or None where no line does.

        Args:
            start: The line that opens it.
            opening: The text that begins with the opening backticks.
        """
        ticks = count_ticks(opening)
        if ticks not in self._next:
            self._next[ticks] = self._find_closing(ticks)
        end = self._next[ticks][start + 1]
        return end if end < len(self._lines) else None

    def _find_closing(self, ticks: int) -> list[int]:
        """For each line, the first closing fence of at least so many backticks from there on."""
        following = [len(self._lines)] * (len(self._lines) + 1)
        for number in range(len(self._lines) - 1, -1, -1):
            text = self._lines[number].strip()
            closes = len(text) >= ticks and text == "`" * len(text)
            following[number] = number if closes else following[number + 1]
        return following


def count_ticks(text: str) -> int:
    """Return how many backticks a text begins with; 0 for fewer than three."""
    found = _TICKS.match(text)
    return len(found[0]) if found else 0


def split_reasoning(text: str) -> tuple[str, str]:
    """Split what a reasoning model thought off its answer: everything up to its last closing tag.

    Returns:
        The reasoning and the answer. A block that is not closed leaves no answer. The opening tag may be
        missing, as where the chat template has written it.
    """
    opened = _OPENING.match(text.lstrip())
    last_label = _find_last_label(text)
    for closing in reversed(list(_CLOSING.finditer(text))):
        if opened or closing.end() <= last_label or _begins_answer(text, closing.end()):
            after = text[closing.end() :]
            reasoning = _OPENING.sub("", text[: closing.start()].strip())
            return ("", "") if _has_lone_tag(after) else (_CLOSING.sub("", reasoning).strip(), after)
    if opened or _has_lone_tag(text):
        return _OPENING.sub("", text.strip()).strip(), ""
    return "", text


def _find_last_label(text: str) -> int:
    """Where the last line with an action's label begins; -1 where there is none."""
    end = len(text)
    for line in reversed(text.split("\n")):
        begin = end - len(line)
        label = read_label(line)
        if label and label.word in ACTION:
            return begin
        end = begin - 1
    return -1


def _begins_answer(text: str, place: int) -> bool:
    """Whether an action's label, an object or a block stands right at a place of a text."""
    if _STRUCTURE.match(text, place):
        return True
    line_end = text.find("\n", place)
    label = read_label(text[place : len(text) if line_end < 0 else line_end])
    return bool(label and label.word in ACTION)


def _has_lone_tag(text: str) -> bool:
    """Whether a tag of reasoning stands alone in a line: what is reasoning is not known then."""
    return any(_TAG.fullmatch(line.strip()) for line in text.split("\n"))
