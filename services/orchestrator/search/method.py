"""What a method is: a name, a version, its parameters, and a function over the ports."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from services.contracts.base import Request
from services.contracts.episode import Feedback
from services.orchestrator.ports import Committed, Spec, World


class Params(Request):
    """A method's own parameters; unknown ones are refused."""


Run = Callable[[World, Spec], Awaitable[Committed]]
"""The root branch."""
Body = Callable[[World, Spec, dict[str, Any]], Awaitable[BaseModel]]
"""A branch that the root opens: its arguments and its result are Pydantic models, as JSON."""


@dataclass(frozen=True)
class Method:
    """A way to solve a task."""

    name: str
    version: str
    """Changed whenever the same answers would lead to other calls: a log is replayed by its own version."""
    run: Run
    params: type[Params] = Params
    bodies: Mapping[str, Body] = field(default_factory=dict[str, Body])
    feedback: frozenset[Feedback] = frozenset({Feedback.JUDGE})
    """What the method can make use of."""
    uses: frozenset[str] = frozenset()
    """Which of num_branch, num_path, num_subtasks and the thresholds it uses."""
