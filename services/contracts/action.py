"""Actor: candidates for the next action."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from services.contracts.answer import RoleAnswer
from services.contracts.base import SINCE_0_2, Bool, Float, Int, Message, Request
from services.contracts.context import MAX_TEXT, Context
from services.contracts.language import Language

MAX_AVOIDED = 64
"""Actions that one request may rule out."""


class Form(StrEnum):
    """The form of an actor's answer."""

    IO = "io"
    """The action alone."""
    COT = "cot"
    """Reasoning step by step, then the action; the reasoning is not kept in the transcript."""
    REACT = "react"
    """A thought and an action, both kept in the transcript."""


class ActionRequest(Request):
    """`POST /v1/actions`."""

    context: Context
    form: Form = Form.REACT
    n: Int = Field(default=1, ge=1, le=16)
    """Candidates to sample, in one model call."""
    subtask: str = Field(default="", max_length=MAX_TEXT)
    """The subtask in hand; empty where there is no plan."""
    submit: Bool = False
    """Whether everything is done and the terminal action is due."""
    temperature: Float | None = Field(default=None, ge=0, le=2)
    """None: 0 for one candidate, the service's own setting for several."""
    grammar: Bool = False
    """Constrain the answer to the form by a grammar."""
    language: Language = Field(default="", json_schema_extra=SINCE_0_2)
    """With `grammar`: the valid actions as a regular expression; empty: any action."""
    avoid: list[Annotated[str, Field(max_length=MAX_TEXT)]] = Field(
        default_factory=list[str], max_length=MAX_AVOIDED, json_schema_extra=SINCE_0_2
    )
    """Actions that may not be taken now: candidates that are one of them come last."""
    adapter: str | None = Field(default=None, max_length=200)
    seed: Int | None = Field(default=None, ge=0, le=2**31 - 1)


class Candidate(Message):
    """One distinct action that the actor proposed."""

    action: str
    thought: str = ""
    well_formed: bool
    """Whether the text had the requested form."""
    logprob: float | None = None
    """Sum over the tokens of the text, natural logarithm."""
    count: int = 1
    """How many of the n samples were this action."""
    text: str = ""
    """The model's answer."""


class Actions(RoleAnswer):
    """The actor's answer: distinct candidates, the most frequent first."""

    candidates: list[Candidate]
