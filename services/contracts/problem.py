"""Errors on the wire: RFC 9457 problem details."""

from pydantic import Field

from services.contracts.base import Message

PROBLEM_MEDIA_TYPE = "application/problem+json"


class FieldError(Message):
    """One field of a request that was refused."""

    field: str
    """Where: a dotted path into the request (`body.num_branch`)."""
    message: str
    """What is wrong with it, and what is allowed."""


class Problem(Message):
    """One error, as every part of Espalier answers it."""

    type: str = "about:blank"
    """A URI that documents this kind of error (`docs/errors.md#<name>`)."""
    title: str
    """The kind of error in a few words; the same for every occurrence."""
    status: int = Field(ge=100, le=599)
    """The HTTP status."""
    detail: str = ""
    """What happened this time and what to do about it."""
    instance: str = ""
    """The path of the request."""
    errors: list[FieldError] = Field(default_factory=list[FieldError])
    """The fields that were refused, for 422."""
    request_id: str = ""
    """The id of this request in the logs."""
    allowed: list[str] = Field(default_factory=list[str])
    """The values that would have been accepted, where they can be listed."""

    @property
    def name(self) -> str:
        """The kind's short name: the fragment of `type`."""
        return self.type.rpartition("#")[2]
