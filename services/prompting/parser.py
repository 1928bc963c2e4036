"""Reads what models answer: actions and plans.

An action is everything after its label up to the next label, or a block fenced by three backticks (scripts
and queries), or a word or two that name the block on the next line (AgentBench's `Operation` and `bash`). No
part of an action is ever returned for the whole: what may have been cut is marked as malformed. Text that
lacks the form is returned whole and marked so.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, cast

from services.contracts.action import Form
from services.contracts.session import MAX_ACTION
from services.prompting.labels import (
    ACTION,
    FENCE,
    OBSERVATION,
    THOUGHT,
    Fences,
    Label,
    count_ticks,
    is_choice,
    read_label,
    split_reasoning,
)

PLACEHOLDERS = frozenset(
    {"<action>", "<why this action>", "<your reasoning>", "let's think step by step. <your reasoning>"}
)
"""What the shipped templates leave to be filled in, in lower case: an answer that repeats one is an echo."""
_BLOCK_NAME = re.compile(r"\w[\w ]{0,39}:?")
_ITEM = re.compile(r"[*_]{0,3}(?:subtask[ \t]{0,4})?(\d{1,2})[ \t]{0,4}[.):][ \t]{0,4}", re.IGNORECASE)
_SUBTASK = re.compile(r"<subtask(?: \d{1,2})?>", re.IGNORECASE)
_INLINE = re.compile(r"(?<!\w)(?:ACTION|Action):")
_LANGUAGES = frozenset(("bash", "sh", "shell", "console", "sql", "mysql", "text", "txt", "plaintext", "json"))
_QUOTES = {"`": "`", '"': '"', "'": "'", "\u201c": "\u201d", "\u2018": "\u2019", "«": "»", "「": "」"}
_FIELDS = frozenset({"action", "thought", "think", "reasoning"})


@dataclass(frozen=True)
class ParsedAction:
    """An actor's answer, parsed."""

    action: str
    thought: str
    well_formed: bool


@dataclass(frozen=True, slots=True)
class _Segment:
    """The lines of an action, and where it ended."""

    lines: list[str]
    bounded: bool
    """Whether a label follows it."""


def parse_action(
    text: str, form: Form, *, truncated: bool = False, placeholders: frozenset[str] = PLACEHOLDERS
) -> ParsedAction:
    """Parse one answer of the actor.

    Well-formed is an answer with an action that is whole, not empty and no echo of the template, and, except
    for `io`, a thought.

    Args:
        text: The answer.
        form: The form that was requested.
        truncated: Whether the answer ended at its limit of tokens: an action that runs to its end may be cut.
        placeholders: What the template leaves to be filled in, in lower case.
    """
    reasoning, answer = split_reasoning(text.replace("\r\n", "\n"))
    fields = _parse_object(answer)
    if fields is not None:
        action, thought, whole = fields["action"], fields["thought"] or reasoning, True
        has_thought = bool(thought)
    else:
        action, thought, whole, has_thought = _parse_labelled(answer, truncated)
        if not thought and reasoning:
            thought, has_thought = reasoning, True
    if len(action) > MAX_ACTION:
        action, whole = action[:MAX_ACTION], False
    well_formed = whole and bool(action) and not {action.lower(), thought.lower()} & placeholders
    if form is not Form.IO:
        well_formed = well_formed and has_thought
    return ParsedAction(action, thought, well_formed)


def fenced(action: str) -> str:
    """Return an action as `parse_action` reads it back after `ACTION:`: several lines between fences."""
    if "\n" not in action:
        return action
    if FENCE not in action:
        return f"\n{FENCE}\n{action}\n{FENCE}"
    if _read(_Segment(action.split("\n"), bounded=True)) == (action, True):
        return action
    longest = max(len(run) for run in re.findall(r"`+", action))
    fence = "`" * (longest + 1)
    return f"\n{fence}\n{action}\n{fence}"


def parse_plan(text: str, k: int) -> list[str] | None:
    """Parse a plan of exactly k subtasks numbered in order; None where the text is not one."""
    _, answer = split_reasoning(text)
    items: list[tuple[str, str]] = []
    for line in answer.split("\n"):
        found = _ITEM.match(line.strip())
        if found and (words := line.strip()[found.end() :].strip()):
            items.append((found[1], words.strip("*_").strip().strip('"')))
    if [number for number, _ in items] != [str(number) for number in range(1, k + 1)]:
        return None
    subtasks = [words for _, words in items]
    return None if any(not words or _SUBTASK.fullmatch(words) for words in subtasks) else subtasks


def _parse_labelled(answer: str, truncated: bool) -> tuple[str, str, bool, bool]:
    """Return action, thought, whether the action is whole, and whether there is a labelled thought."""
    lines = answer.split("\n")
    fences = Fences(lines)
    start = _find_action(lines, fences)
    if start is None:
        inner = _unwrap(lines, fences) or _break_line(lines)
        if inner is not None:
            return _parse_labelled(inner, truncated)
        return answer.strip(), "", False, False
    label = read_label(lines[start])
    assert label is not None
    choice = _choice_before(lines, start)
    segment = _collect(lines, fences, start, label, choice)
    action, whole = _read(segment)
    if label.emphasis and action.endswith(label.emphasis):
        action = action[: -len(label.emphasis)].rstrip()
    if choice is None:
        action = _unquote(action)
    fields = _parse_object(action)
    if fields is not None and not fields["thought"]:
        action = fields["action"]
    thought, has_thought = _read_thought(lines[: start if choice is None else choice])
    return action, thought, whole and not (truncated and not segment.bounded), has_thought


def _find_action(lines: list[str], fences: Fences) -> int | None:
    """The line of the first action label that is not inside a fenced block."""
    number = 0
    while number < len(lines):
        label = read_label(lines[number])
        if label and label.word in ACTION:
            return number
        opening = (label.rest if label else lines[number]).lstrip()
        end = fences.end(number, opening) if count_ticks(opening) else None
        number = number + 1 if end is None else end + 1
    return None


def _choice_before(lines: list[str], start: int) -> int | None:
    """The line of an `Answer: C.` right above an action label."""
    above = start - 1
    while above >= 0 and not lines[above].strip():
        above -= 1
    return above if above >= 0 and is_choice(lines[above]) else None


def _collect(lines: list[str], fences: Fences, start: int, label: Label, choice: int | None) -> _Segment:
    """The lines of an action, from its label to the next one of the same style."""
    first = label.rest if choice is None else lines[start]
    found = [first] if choice is None else [lines[choice], first]
    may_follow = choice is None and is_choice(label.rest)
    number, opening = start, label.rest.lstrip()
    while True:
        end = fences.end(number, opening) if count_ticks(opening) else None
        if end is not None:
            found.extend(lines[number + 1 : end + 1])
            number = end
        number += 1
        if number >= len(lines):
            return _Segment(found, bounded=False)
        line = lines[number]
        following = read_label(line)
        if following and following.mark in ("", label.mark):
            if not (may_follow and following.word in ACTION):
                return _Segment(found, bounded=True)
            may_follow = False
        found.append(line)
        opening = line.lstrip()


def _read(segment: _Segment) -> tuple[str, bool]:
    """Return the action of a segment, and whether it is whole."""
    lines = _strip_blank(segment.lines)
    if not lines:
        return "", False
    fences = Fences(lines)
    if count_ticks(lines[0].lstrip()):
        return _read_block(lines, fences, 0)
    block = next((number for number in range(1, len(lines)) if lines[number].strip()), None)
    if block is not None and count_ticks(lines[block].lstrip()) and _BLOCK_NAME.fullmatch(lines[0].strip()):
        end = fences.end(block, lines[block].lstrip())
        if end is None:
            _, whole = _read_block(lines, fences, block)
            return _join([lines[0].strip(), *lines[block:]]), whole
        if not _has_fence(lines[end + 1 :]):
            return _join([lines[0].strip(), *lines[block : end + 1]]), True
    return _join(lines), True


def _read_block(lines: list[str], fences: Fences, start: int) -> tuple[str, bool]:
    """Return what a fenced block holds, and whether the block is closed."""
    opening = lines[start].strip()
    ticks = count_ticks(opening)
    fence = "`" * ticks
    head = opening[ticks:]
    if head.endswith(fence):
        return _drop_language(head[:-ticks].strip()), True
    end = fences.end(start, opening)
    if end is not None:
        if _has_fence(lines[end + 1 :]):
            return _join(lines[start:]), True
        return _join(_block_lines(head, lines[start + 1 : end])), True
    last = lines[-1].rstrip()
    if len(lines) > start + 1 and last.endswith(fence):
        return _join(_block_lines(head, [*lines[start + 1 : -1], last[:-ticks]])), True
    return _join(_block_lines(head, lines[start + 1 :])), False


def _block_lines(head: str, lines: list[str]) -> list[str]:
    """The lines of a block; a first line that holds more than a language's name belongs to them."""
    name = head.strip()
    return lines if not name or re.fullmatch(r"[\w+#.-]{1,20}", name) else [_drop_language(name), *lines]


def _drop_language(text: str) -> str:
    word, _, rest = text.partition(" ")
    return rest.strip() if word.lower() in _LANGUAGES and rest.strip() else text


def _has_fence(lines: list[str]) -> bool:
    return any(count_ticks(line.lstrip()) for line in lines)


def _read_thought(lines: list[str]) -> tuple[str, bool]:
    """Return the thought above an action, and whether it is labelled."""
    for number, line in enumerate(lines):
        label = read_label(line)
        if label and label.word in THOUGHT:
            thought = _join([label.rest, *_until_observation(lines[number + 1 :])])
            if label.emphasis and thought.endswith(label.emphasis):
                thought = thought[: -len(label.emphasis)].rstrip()
            return thought, bool(thought)
    return _join(lines), False


def _until_observation(lines: list[str]) -> list[str]:
    for number, line in enumerate(lines):
        label = read_label(line)
        if label and label.word in OBSERVATION:
            return lines[:number]
    return lines


def _unwrap(lines: list[str], fences: Fences) -> str | None:
    """The content of the first fenced block that holds an action's label: an answer inside a fence."""
    number = 0
    while number < len(lines):
        end = fences.end(number, lines[number].lstrip()) if count_ticks(lines[number].lstrip()) else None
        if end is None:
            number += 1
            continue
        inside = lines[number + 1 : end]
        if any(label and label.word in ACTION for label in map(read_label, inside)):
            return "\n".join(inside)
        number = end + 1
    return None


def _break_line(lines: list[str]) -> str | None:
    """A thought and an action in one line (`THOUGHT: ... ACTION: ...`), put on two."""
    for number, line in enumerate(lines):
        label = read_label(line)
        found = _INLINE.search(line) if label and label.word in THOUGHT else None
        if found:
            parts = [line[: found.start()].rstrip(), line[found.start() :]]
            return "\n".join([*lines[:number], *parts, *lines[number + 1 :]])
    return None


def _parse_object(text: str) -> dict[str, str] | None:
    """Return `action` and `thought` of a JSON object, fenced or not; None for anything else."""
    given = text.strip()
    if count_ticks(given):
        lines = given.split("\n")
        given, closed = _read_block(lines, Fences(lines), 0)
        if not closed:
            return None
    if not (given.startswith("{") and given.endswith("}")):
        return None
    try:
        value: Any = json.loads(given)
    except (ValueError, RecursionError):
        return None
    found = {str(name).lower(): field for name, field in cast(dict[Any, Any], value).items()}
    texts = {name: field.strip() for name, field in found.items() if isinstance(field, str)}
    if not texts.get("action") or set(found) - _FIELDS or len(texts) < len(found):
        return None
    thought = next((texts[name] for name in ("thought", "think", "reasoning") if texts.get(name)), "")
    return {"action": texts["action"], "thought": thought}


def _unquote(action: str) -> str:
    """An action without quotes, backticks or emphasis around the whole of it."""
    if len(action) > 4 and action.startswith("**") and action.endswith("**") and "**" not in action[2:-2]:
        return _unquote(action[2:-2].strip())
    closing = _QUOTES.get(action[:1], "")
    inner = action[1:-1]
    if len(action) < 3 or not closing or not action.endswith(closing):
        return action
    return action if closing in inner or action[0] in inner else inner.strip()


def _strip_blank(lines: list[str]) -> list[str]:
    filled = [number for number, line in enumerate(lines) if line.strip()]
    return lines[filled[0] : filled[-1] + 1] if filled else []


def _join(lines: list[str]) -> str:
    return "\n".join(lines).strip()
