"""Filters of records: small pure functions that return why a record is not good, or nothing.

What a record alone does not show (whether its actions give the same again) is in `replay`.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from services.contracts.action import Form
from services.contracts.context import Context, Turn
from services.prompting import parse_action, parse_plan
from training.construct.record import Record

Check = Callable[[Record], str | None]
"""Why a record is rejected; None where it passes."""
ACTS = ("trajectory", "step")
_NAMED = re.compile(r"\b[a-z]+ \d+\b")
_PRODUCT = re.compile(r"\bb0[0-9a-z]{8}\b")
_CLICK = re.compile(r"\s*click\[(.+)\]\s*", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Filter:
    """A check with its name."""

    name: str
    about: str
    """What it requires of a record, for people."""
    check: Check
    kinds: tuple[str, ...] = ("trajectory",)
    """The kinds of records that it looks at; others pass unmarked."""


def success(least: float) -> Check:
    """The reward is at least so much."""

    def check(record: Record) -> str | None:
        return None if record.reward >= least else f"reward {record.reward:g}, below {least:g}"

    return check


def well_formed(record: Record) -> str | None:
    """Check that the parser that serves reads what was meant."""
    if record.kind == "plan":
        k = record.question.get("num_subtasks", 0)
        return None if parse_plan(record.answer, k) else f"no plan of {k} subtasks: {record.answer[:80]!r}"
    if record.kind in ("subtask", "path", "value"):
        return None if record.answer in ("Yes", "No") else f"neither Yes nor No: {record.answer[:80]!r}"
    if record.kind == "selection":
        letters = "ABCDEFGHIJKLMNOP"[: len(record.question.get("options", ()))]
        fits = len(record.answer) == 1 and record.answer in letters
        return None if fits else f"no letter of an option: {record.answer[:80]!r}"
    if not record.context.turns:
        return "nothing was done"
    if record.kind == "trajectory" and record.valid and len(record.valid) != len(record.context.turns):
        return f"{len(record.context.turns)} actions and {len(record.valid)} marks whether they were valid"
    learned = record.context.turns[-1:] if record.kind == "step" else record.context.turns
    return _first(_malformed(turn) for turn in learned)


def _malformed(turn: Turn) -> str | None:
    read = parse_action(f"THOUGHT: {turn.thought}\nACTION: {turn.action}", Form.REACT)
    if (read.action, read.thought) != (turn.action, turn.thought):
        return f"is read as another action: {turn.action[:80]!r}"
    return None if read.well_formed else f"has no thought, or echoes the template: {turn.action[:80]!r}"


def consistent(record: Record) -> str | None:
    """Thoughts are about their actions, and actions are about things that were seen."""
    if record.environment == "alfworld":
        return _first(_household(record.context))
    if record.environment == "webshop":
        return _first(_shopping(record.context))
    return None


def _household(context: Context) -> Iterator[str | None]:
    seen = set(_NAMED.findall(f"{context.observation} {context.task}".lower()))
    for turn in context.turns:
        about = _NAMED.findall(turn.action.lower())
        unseen = [name for name in about if name not in seen]
        if unseen:
            yield f"{turn.action!r} is about {unseen[0]}, which was not seen"
        yield _beside_the_point(turn, about)
        seen |= set(_NAMED.findall(turn.observation.lower()))


def _beside_the_point(turn: Turn, about: list[str]) -> str | None:
    thought = turn.thought.lower()
    named = _NAMED.findall(thought)
    kinds = {name.rpartition(" ")[0] for name in about}
    if not named or not about or set(named) & set(about):
        return None
    # A thought may name the kind alone: "the mug may be in a drawer".
    if kinds & set(re.findall(r"[a-z]+", _NAMED.sub(" ", thought))):
        return None
    return f"the thought is about {named[0]}, and the action is {turn.action!r}"


def _shopping(context: Context) -> Iterator[str | None]:
    page = context.observation.casefold()
    for turn in context.turns:
        clicked = _CLICK.fullmatch(turn.action)
        if clicked and clicked[1].strip().casefold() not in page:
            yield f"{turn.action!r} is no button of the page"
        product = _PRODUCT.search(turn.action.lower())
        named = _PRODUCT.findall(turn.thought.lower())
        if product and named and product[0] not in named:
            yield f"the thought is about {named[0]}, and the action is {turn.action!r}"
        page = turn.observation.casefold()


def loops(record: Record) -> str | None:
    """No action is repeated with the same outcome, once more at once or in turns with another."""
    steps = [(turn.action.strip().lower(), turn.observation.strip()) for turn in record.context.turns]
    for number in range(1, len(steps)):
        if steps[number] == steps[number - 1]:
            return f"{steps[number][0][:80]!r} is repeated and brings the same"
    for number in range(3, len(steps)):
        if steps[number] == steps[number - 2] and steps[number - 1] == steps[number - 3]:
            return f"{steps[number - 1][0][:80]!r} and {steps[number][0][:80]!r} are repeated in turns"
    return None


def length(turns: int, characters: int) -> Check:
    """At most so many turns, and characters of all that was seen, thought and done."""

    def check(record: Record) -> str | None:
        context = record.context
        if len(context.turns) > turns:
            return f"{len(context.turns)} turns, more than {turns}"
        lengths = (len(turn.thought) + len(turn.action) + len(turn.observation) for turn in context.turns)
        total = len(context.task) + len(context.observation) + len(record.answer) + sum(lengths)
        return None if total <= characters else f"{total} characters, more than {characters}"

    return check


class Duplicates:
    """Each task is done in the same way once; holds what it has seen, so it is made anew for each file."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, ...]] = set()

    def __call__(self, record: Record) -> str | None:
        """Whether the same was there before."""
        done = tuple(turn.action for turn in record.context.turns)
        start = (record.environment, record.kind, record.context.task, record.context.observation)
        key = (*start, str(record.question), record.answer, *done)
        if key in self._seen:
            return "the same task, done in the same way, was there before"
        self._seen.add(key)
        return None


def standard(least: float, turns: int, characters: int) -> list[Filter]:
    """The filters, the cheapest first; made anew for each file."""
    every = ("trajectory", "step", "subtask", "selection", "path", "plan")
    return [
        Filter("success", f"reward at least {least:g}", success(least)),
        Filter("format", "read back as it was meant", well_formed, every),
        Filter("length", f"at most {turns} turns, {characters} characters", length(turns, characters), every),
        Filter("loops", "nothing repeated in vain", loops),
        Filter("consistency", "thoughts fit actions, actions fit what was seen", consistent, ACTS),
        Filter("duplicates", "each task done in the same way once", Duplicates(), every),
    ]


def _first(reasons: Iterator[str | None]) -> str | None:
    return next((reason for reason in reasons if reason), None)
