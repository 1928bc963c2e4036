"""Reflection: what a path that was not good enough teaches, in words."""

from pydantic import Field

from services.contracts.answer import RoleAnswer
from services.contracts.base import Int, Request
from services.contracts.context import MAX_LESSON, Context


class ReflectionRequest(Request):
    """`POST /v1/reflections`: what went wrong on this path, and what is to be done instead?"""

    context: Context
    """The path, as far as it was walked."""
    adapter: str | None = Field(default=None, max_length=200)
    seed: Int | None = Field(default=None, ge=0, le=2**31 - 1)


class Reflection(RoleAnswer):
    """The judge's answer."""

    text: str = Field(max_length=MAX_LESSON)
    """The lesson, on one line; empty where the model gave none."""
