"""A task's true stages, and at which step each was done: planner's and judge's data out of solved runs.

ALFWorld's stages follow from the goal, and when they were done from the observations. WebShop's are
search, choose, buy.
"""

import re
from dataclasses import dataclass

from envs.alfworld.expert import Goal
from services.contracts.context import Turn
from training.construct.record import Record

K = 3
PICKED = "You pick up the {thing} "
TREATED = "You {verb} the {thing} "
PLACED = re.compile(r"^You (?:move|put) the ")
LIT = re.compile(r"^You turn on the ")


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage."""

    subtask: str
    done_after: int
    """How many steps had been taken when it was done."""


def stages(record: Record) -> list[Stage] | None:
    """The stages of a solved run; None where they are not known."""
    if record.environment == "alfworld":
        return _alfworld(record)
    if record.environment == "webshop":
        return _webshop(record)
    return None


def plan_of(record: Record) -> list[str] | None:
    """The plan of a task, three subtasks; None where none is known."""
    found = stages(record)
    return [stage.subtask for stage in found] if found else None


def _alfworld(record: Record) -> list[Stage] | None:
    try:
        goal = Goal.parse(record.context.task)
    except ValueError:
        return None
    turns = record.context.turns
    picks = _when(turns, re.compile(PICKED.format(thing=goal.thing)))
    places = _when(turns, PLACED)
    if not picks:
        return None
    if goal.light:
        lit = _when(turns, LIT)
        find = f"find a {goal.thing}"
        return _ordered(
            (find, picks[0] - 1), (f"take the {goal.thing}", picks[0]), (f"use the {goal.light}", _first(lit))
        )
    put = f"put the {goal.thing} in {goal.target}"
    if goal.count == 2:
        another = f"find another {goal.thing}, take it and put it in {goal.target}"
        return _ordered(
            (f"find a {goal.thing} and take it", picks[0]), (put, _first(places)), (another, len(turns))
        )
    if goal.verb:
        treated = _when(turns, re.compile(TREATED.format(verb=goal.verb, thing=goal.thing)))
        return _ordered(
            (f"find a {goal.thing} and take it", picks[0]),
            (f"{goal.verb} the {goal.thing}", _first(treated)),
            (put, _first(places[-1:])),
        )
    return _ordered(
        (f"find a {goal.thing}", picks[0] - 1),
        (f"take the {goal.thing}", picks[0]),
        (put, _first(places[-1:])),
    )


def _webshop(record: Record) -> list[Stage] | None:
    actions = [turn.action for turn in record.context.turns]
    if not record.done or len(actions) < 3:
        return None
    return _ordered(
        ("search for what is asked", 1),
        ("open a product that fits and choose its options", len(actions) - 1),
        ("buy it", len(actions)),
    )


def _when(turns: list[Turn], shown: re.Pattern[str]) -> list[int]:
    return [number for number, turn in enumerate(turns, 1) if shown.match(turn.observation)]


def _first(numbers: list[int]) -> int:
    return numbers[0] if numbers else 0


def _ordered(*found: tuple[str, int]) -> list[Stage] | None:
    """Stages in order; None where one was never done or was done before the one before it."""
    done = [number for _, number in found]
    if min(done) < 1 or done != sorted(done):
        return None
    return [Stage(subtask, number) for subtask, number in found]
