"""Reads what models say: actions and plans.

An action is one line, or a block fenced by three backticks (scripts and queries), or a word or two that
say what the block on the next line is (AgentBench's `Operation` and `bash`). Text that lacks the form is read
as well as it can be and marked so.
"""

import re
from dataclasses import dataclass

from services.contracts.action import Form

MAX_ACTION = 20_000
_ACTION = re.compile(r"^[ \t]*action[ \t]*:[ \t]*", re.IGNORECASE | re.MULTILINE)
_THOUGHT = re.compile(r"^[ \t]*(?:thought|think)[ \t]*:[ \t]*", re.IGNORECASE | re.MULTILINE)
_FENCE = re.compile(r"\A\s*```[\w-]*\n?(.*?)\n?```", re.DOTALL)
_LABELLED = re.compile(r"\A[ \t]*(\w[\w ]{0,39}:?)[ \t]*\n\s*(```[\w-]*\n.*?\n?```)", re.DOTALL)
_ITEM = re.compile(r"^\s*(?:subtask\s*)?(\d{1,2})\s*[.):]\s*(\S.*?)\s*$", re.IGNORECASE)
_PLACEHOLDER = re.compile(
    r"[<\[](?:action|thought|subtask|why this action|your reasoning)[^>\]]*[>\]]", re.IGNORECASE
)


@dataclass(frozen=True)
class ParsedAction:
    """An actor's answer, read."""

    action: str
    thought: str
    well_formed: bool


def parse_action(text: str, form: Form) -> ParsedAction:
    """Read one answer of the actor.

    Well-formed is an answer with an `ACTION:` that is not empty and no echo of the template, and,
    except for `io`, a `THOUGHT:` before it.
    """
    found = _ACTION.search(text)
    if not found:
        return ParsedAction(_first_line(text), "", well_formed=False)
    action = _action_of(text[found.end() :])
    before = text[: found.start()]
    labelled = _THOUGHT.search(before)
    thought = (before[labelled.end() :] if labelled else before).strip()
    well_formed = bool(action) and not _PLACEHOLDER.search(f"{thought}\n{action}")
    if form is not Form.IO:
        well_formed = well_formed and bool(labelled and thought)
    return ParsedAction(action, thought, well_formed)


def fenced(action: str) -> str:
    """An action as `parse_action` reads it back after `ACTION:`; several lines are put between fences."""
    return f"\n```\n{action}\n```" if "\n" in action and "```" not in action else action


def parse_plan(text: str, k: int) -> list[str] | None:
    """Read a plan of exactly k subtasks numbered in order; None where the text is not one."""
    items = [match.groups() for line in text.splitlines() if (match := _ITEM.match(line))]
    if [number for number, _ in items] != [str(number) for number in range(1, k + 1)]:
        return None
    subtasks = [words.strip().strip('"') for _, words in items]
    if any(not words or _PLACEHOLDER.fullmatch(words) for words in subtasks):
        return None
    return subtasks


def _action_of(rest: str) -> str:
    labelled = _LABELLED.match(rest)
    if labelled:
        return "\n".join(labelled.groups())[:MAX_ACTION]
    fenced = _FENCE.match(rest)
    return (fenced.group(1) if fenced else _first_line(rest)).strip()[:MAX_ACTION]


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")[:MAX_ACTION]
