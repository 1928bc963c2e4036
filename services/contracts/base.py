"""The two bases of every message.

What comes from outside (`Request`) refuses unknown fields, so that a typing error is told and not
ignored. What we answer (`Message`) tolerates them, so that a reader is not broken by a newer writer.
"""

from pydantic import BaseModel, ConfigDict


class Message(BaseModel):
    """A message that we send: immutable, tolerant of fields that a newer writer adds."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="null")


class Request(BaseModel):
    """A message that we are sent: immutable, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")
