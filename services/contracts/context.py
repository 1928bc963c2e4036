"""What a role service gets of the path so far.

All roles get the same context, and it only ever grows at its end: rendered, it is one prompt
prefix that the engine's cache serves to planner, actor and judge alike.
"""

from pydantic import Field

from services.contracts.base import SINCE_0_2, Int, Request

MAX_TEXT = 100_000
"""The longest text that a field of a context takes, characters."""
MAX_TURNS = 500
MAX_LESSON = 2_000
"""The longest lesson of a path, characters."""


class Brief(Request):
    """What a model reads of an environment: the lines of `/metadata` that go into prompts."""

    name: str = Field(max_length=100)
    description: str = Field(default="", max_length=MAX_TEXT)
    """What the environment is, one or two sentences."""
    actions: str = Field(default="", max_length=MAX_TEXT)
    """The action language, as a model reads it."""
    terminal_action: str = Field(default="", max_length=1000)
    """The action that submits a result, where one is required; else empty."""


class Turn(Request):
    """One step that was taken: the actor's answer, and the environment's."""

    action: str = Field(max_length=MAX_TEXT)
    observation: str = Field(max_length=MAX_TEXT)
    thought: str = Field(default="", max_length=MAX_TEXT)


class TriedPath(Request):
    """A path that was tried before and judged not good enough."""

    actions: list[str] = Field(max_length=MAX_TURNS)
    lesson: str = Field(default="", max_length=MAX_LESSON, json_schema_extra=SINCE_0_2)
    """What it teaches, in words; empty where nobody reflected on it."""


class Context(Request):
    """The path so far."""

    environment: Brief
    task: str = Field(max_length=MAX_TEXT)
    """The instruction."""
    observation: str = Field(default="", max_length=MAX_TEXT)
    """The first observation, before any action."""
    tried: list[TriedPath] = Field(default_factory=list[TriedPath], max_length=64)
    """Paths that were tried before this one, oldest first."""
    plan: list[str] = Field(default_factory=list[str], max_length=32)
    """The subtasks, in order; empty where the method does not plan."""
    turns: list[Turn] = Field(default_factory=list[Turn], max_length=MAX_TURNS)
    """The steps taken on this path, oldest first."""
    first_turn: Int = Field(default=0, ge=0)
    """Turns before this one have left the window already; see `Window`."""
