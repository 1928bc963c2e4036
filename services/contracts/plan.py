"""Planner: a task split into subtasks."""

from pydantic import Field

from services.contracts.answer import RoleAnswer
from services.contracts.base import Int, Request
from services.contracts.context import Context


class PlanRequest(Request):
    """`POST /v1/plans`."""

    context: Context
    num_subtasks: Int = Field(default=3, ge=1, le=16)
    """k, the number of subtasks (paper, section 3.3: usually 3)."""
    adapter: str | None = Field(default=None, max_length=200)
    seed: Int | None = Field(default=None, ge=0, le=2**31 - 1)


class Plan(RoleAnswer):
    """The planner's answer."""

    subtasks: list[str]
    """In the order in which they are to be done; never empty."""
    origin: str = "model"
    """`model`, `grammar` (a second answer, under a grammar) or `fallback` (the whole task as one)."""
    text: str = ""
    """The model's answer."""
