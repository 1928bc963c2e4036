"""Judge: is the subtask done, which candidate, is the path good enough."""

from typing import Self

from pydantic import Field, FiniteFloat, model_validator

from services.contracts.answer import RoleAnswer
from services.contracts.base import Int, Request
from services.contracts.context import MAX_TEXT, MAX_TURNS, Context, Turn


class SubtaskQuestion(Request):
    """`POST /v1/verdicts/subtask`: has this subtask been done on this path?"""

    context: Context
    subtask: str = Field(min_length=1, max_length=MAX_TEXT)
    adapter: str | None = Field(default=None, max_length=200)
    seed: Int | None = Field(default=None, ge=0, le=2**31 - 1)


class Option(Request):
    """One candidate action, as the judge is shown it."""

    action: str = Field(max_length=MAX_TEXT)
    thought: str = Field(default="", max_length=MAX_TEXT)


class SelectionQuestion(Request):
    """`POST /v1/verdicts/selection`: which candidate is the best next action?"""

    context: Context
    subtask: str = Field(default="", max_length=MAX_TEXT)
    options: list[Option] = Field(min_length=1, max_length=16)
    adapter: str | None = Field(default=None, max_length=200)
    seed: Int | None = Field(default=None, ge=0, le=2**31 - 1)


class Reached(Request):
    """A state to be valued: the one that an action leads to from the context."""

    action: str = Field(max_length=MAX_TEXT)
    thought: str = Field(default="", max_length=MAX_TEXT)
    observation: str | None = Field(default=None, max_length=MAX_TEXT)
    """What the action led to; None: it was not taken, and its value is a forecast."""


class ValueQuestion(Request):
    """`POST /v1/verdicts/value`: how likely is success from these states?

    Each of `reached` is valued by itself, all of them at once; without any, the context's own state is.
    """

    context: Context
    reached: list[Reached] = Field(default_factory=list[Reached], max_length=16)
    adapter: str | None = Field(default=None, max_length=200)
    seed: Int | None = Field(default=None, ge=0, le=2**31 - 1)

    @model_validator(mode="after")
    def _has_room(self) -> Self:
        if self.reached and len(self.context.turns) >= MAX_TURNS:
            raise ValueError(f"a context with a state reached from it has fewer than {MAX_TURNS} turns")
        return self

    @property
    def states(self) -> list[Context]:
        """The states, each as the context that it is judged by."""
        if not self.reached:
            return [self.context]
        turns = (
            Turn(action=one.action, thought=one.thought, observation=one.observation or "")
            for one in self.reached
        )
        return [self.context.model_copy(update={"turns": [*self.context.turns, turn]}) for turn in turns]


class PathQuestion(Request):
    """`POST /v1/verdicts/path`: is one path's end good enough, or which of several is best?

    The contexts share environment and task; each has its own turns. One path is weighed by
    P(yes); several are compared in one call.
    """

    paths: list[Context] = Field(min_length=1, max_length=16)
    adapter: str | None = Field(default=None, max_length=200)
    seed: Int | None = Field(default=None, ge=0, le=2**31 - 1)


class Verdict(RoleAnswer):
    """The judge's answer to one yes-or-no question."""

    p_yes: float = Field(ge=0, le=1)
    """P(yes) / (P(yes) + P(no)), from the logprobs of the first token."""


class Choice(RoleAnswer):
    """Which of several the judge prefers."""

    index: int = Field(ge=0)
    scores: list[FiniteFloat]
    """A probability for each, summing to 1; all equal where the model named none of them."""


class Values(RoleAnswer):
    """How likely success is from each of several states."""

    scores: list[FiniteFloat] = Field(min_length=1)
    """P(success) of each state, in the order given; of the context's own where none was given."""


class PathVerdict(RoleAnswer):
    """The verdict on one or several paths."""

    scores: list[FiniteFloat]
    """One path: its P(good enough). Several: the probability that each is the best."""
    best: int = Field(ge=0)
