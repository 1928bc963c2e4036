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


Adapt = Callable[[Mapping[str, Any]], dict[str, Any]]
"""Parameters of an earlier version, as those of this one with which it makes the same calls."""
Run = Callable[[World, Spec], Awaitable[Committed]]
"""The root branch."""
Body = Callable[[World, Spec, dict[str, Any]], Awaitable[BaseModel]]
"""A branch that the root opens: its arguments and its result are Pydantic models, as JSON."""


@dataclass(frozen=True)
class Method:
    """A way to solve a task."""

    name: str
    version: str
    """Changed whenever the same answers would lead to other calls: a log is replayed as its own version."""
    run: Run
    params: type[Params] = Params
    bodies: Mapping[str, Body] = field(default_factory=dict[str, Body])
    feedback: frozenset[Feedback] = frozenset({Feedback.JUDGE})
    """What the method can make use of."""
    uses: frozenset[str] = frozenset()
    """Which of num_branch, num_path, num_subtasks and the thresholds it uses."""
    earlier: Mapping[str, Adapt] = field(default_factory=dict[str, Adapt])
    """The earlier versions that it plays too."""

    def plays(self, version: str) -> bool:
        """Return whether it makes the calls of a version."""
        return version == self.version or version in self.earlier

    def adapt(self, spec: Spec, version: str) -> Spec:
        """Return what it is to be given so that it makes the calls of a version that it plays."""
        if version == self.version:
            return spec
        params = self.earlier[version](spec.request.params)
        return spec.model_copy(update={"request": spec.request.model_copy(update={"params": params})})
