"""Reads what models answer: actions and plans.

An action is everything after its label up to the next label, or a block fenced by three backticks (scripts
and queries), or a word or two that name the block on the next line (AgentBench's `Operation` and `bash`). No
part of an action is ever returned for the whole: what may have been cut is marked as malformed. Text that
lacks the form is returned whole and marked so.
"""

import re
from dataclasses import dataclass
from typing import Any, cast

import orjson

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
_LANGUAGES = frozenset(
    """bash sh shell zsh console terminal command sql mysql mariadb sqlite postgresql text txt plaintext plain
    json yaml python py c cpp action output""".split()  # noqa: SIM905
)
_CLAUSES = frozenset({"where", "set", "from", "order", "group", "limit", "values", "having", "join", "union"})
_OPERATORS = frozenset({"AND", "OR", "ON", "AS", "IN", "NOT", "LIKE", "BETWEEN", "THEN", "ELSE", "END"})
"""Words by which a statement goes on after what looked like its end; operators are words of prose too."""
_HEREDOC = re.compile(r"<<[-~]?[ \t]{0,8}['\"]?(\w+)")
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
    clear: bool = True
    """Whether no line of it may be a label of another look."""


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
            items.append((found[1], _unquote(words.strip("*_").strip())))
        elif items and line.strip() and line[0].isspace():
            return None  # a subtask of several lines
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
    whole = whole and segment.clear and not (segment.bounded and _is_open(action))
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
    clear = True
    number, opening = start, label.rest.lstrip()
    while True:
        end = fences.end(number, opening) if count_ticks(opening) else None
        if end is not None:
            found.extend(lines[number + 1 : end + 1])
            number = end
        number += 1
        if number >= len(lines):
            return _Segment(found, bounded=False, clear=clear)
        line = lines[number]
        following = read_label(line)
        if following and may_follow and following.word in ACTION:
            may_follow = False
        elif following and following.may_end(label):
            return _Segment(found, bounded=True, clear=clear)
        elif following:
            clear = False
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
            inside = _join(lines[block + 1 : end])
            return _join([lines[0].strip(), *lines[block : end + 1]]), not _goes_on(inside, lines[end + 1 :])
    return _join(lines), True


def _read_block(lines: list[str], fences: Fences, start: int) -> tuple[str, bool]:
    """Return what a fenced block holds, and whether the block is closed."""
    opening = lines[start].strip()
    ticks = count_ticks(opening)
    fence = "`" * ticks
    head = opening[ticks:]
    if head.endswith(fence):
        inside = _drop_language(head[:-ticks].strip())
        return inside, not _goes_on(inside, lines[start + 1 :])
    end = fences.end(start, opening)
    if end is not None:
        if _has_fence(lines[end + 1 :]):
            return _join(lines[start:]), True
        inside = _join(_block_lines(head, lines[start + 1 : end]))
        return inside, not _goes_on(inside, lines[end + 1 :])
    last = lines[-1].rstrip()
    if len(lines) > start + 1 and last.endswith(fence):
        return _join(_block_lines(head, [*lines[start + 1 : -1], last[:-ticks]])), True
    return _join(_block_lines(head, lines[start + 1 :])), False


def _block_lines(head: str, lines: list[str]) -> list[str]:
    """The lines of a block; a first line that holds more than a language's name belongs to them."""
    name = _drop_language(head.strip())
    return [name, *lines] if name else lines


def _drop_language(text: str) -> str:
    word, _, rest = text.partition(" ")
    return rest.strip() if word.lower() in _LANGUAGES else text


def _goes_on(action: str, after: list[str]) -> bool:
    """Whether the lines right after a block belong to its action: it is open, or they go on with it."""
    if not after or not after[0].strip():
        return False
    word = re.split(r"\W", after[0].strip(), maxsplit=1)[0]
    goes_on = word in _OPERATORS or (not word.istitle() and word.lower() in _CLAUSES)
    return goes_on or _is_open(action)


def _is_open(action: str) -> bool:
    """Whether a quotation or a here-document of an action has no end."""
    marks = dict.fromkeys("'\"`", 0)
    for place, character in enumerate(action):
        if character in marks:
            before, after = action[place - 1 : place], action[place + 1 : place + 2]
            if not (character == "'" and before.isalnum() and after.isalnum()):  # an apostrophe
                marks[character] += 1
    if any(count % 2 for count in marks.values()):
        return True
    lines = [line.strip() for line in action.split("\n")]
    return any(word not in lines for word in _HEREDOC.findall(action))


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
        if any(line.strip() for line in lines[end + 1 :]):
            return None  # the answer may go on, or the fence may be part of it
        if any(label and label.word in ACTION for label in map(read_label, inside)):
            return "\n".join(inside)
        number = end + 1
    return None


def _break_line(lines: list[str]) -> str | None:
    """A thought and an action in one line (`THOUGHT: ... ACTION: ...`), put on two."""
    if sum(len(_INLINE.findall(line)) for line in lines) != 1:
        return None  # a mention of an action, perhaps
    for number, line in enumerate(lines):
        label = read_label(line)
        found = _INLINE.search(line) if label and label.word in THOUGHT else None
        if found and line[: found.start()].rstrip()[-1:] not in _QUOTES:
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
    if given.count('"action"') > 1:
        return None
    try:
        value: Any = orjson.loads(given)
    except orjson.JSONDecodeError:
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
