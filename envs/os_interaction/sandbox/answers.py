"""What process 1 of a sandbox may answer, checked by schema before anything is done with it.

An answer is an object with the random `id` of the request and either `answer` or `error`. Anything else ends
the sandbox.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Output = Annotated[str, StringConstraints(max_length=2**16)]
Command = Annotated[str, StringConstraints(max_length=4096)]
Ended = Literal["exit", "shell", "deadline", "output", "memory", "cpu"]
Spent = Literal["memory", "cpu"]
Natural = Annotated[int, Field(ge=0, lt=2**63)]
Status = Annotated[int, Field(ge=-64, le=255)]


class Answer(BaseModel):
    """Base of all answers: unknown fields and converted types are refused."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Envelope(Answer):
    """An answer with the id of its request."""

    id: str
    answer: dict[str, Any] | None = None
    error: Annotated[str, StringConstraints(max_length=2000)] | None = None
    """Why the request was not carried out."""
    stage: Literal["build", "copy"] | None = None
    """Of a start that failed: whether the host refused the sandbox, or its files could not be copied."""


class Nothing(Answer):
    """An answer without content."""


class Result(Answer):
    """What a command or script did."""

    output: Output
    ended: Ended
    """`exit`, `shell` (the shell itself ended), or the limit: `deadline output memory cpu`."""
    status: Status | None = None
    errors: Output = ""
    restarted: bool = False
    """Whether a new shell was started."""
    spent: Spent | None = None
    """The limit that programs in the background were ended for before the command."""


class Running(Answer):
    """A program that runs in a sandbox; pid and birth are never given twice."""

    pid: Natural
    born: Natural
    stopped: bool
    command: Command


class Listing(Answer):
    """All programs that run."""

    programs: Annotated[list[Running], Field(max_length=100_000)]


class Packed(Answer):
    """What follows the stream of a copy."""

    state: Annotated[str, StringConstraints(max_length=2**20)] | None
    """A script that gives another shell what this one knew; None where it could not be had."""
    running: Annotated[list[Command], Field(max_length=100_000)]


class Changes(Answer):
    """Paths in the system's folders that are not as they were made."""

    paths: Annotated[list[Annotated[str, StringConstraints(max_length=4096)]], Field(max_length=20_000)]
