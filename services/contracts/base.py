"""The two bases of every message, and the numbers of requests.

What comes from outside (`Request`) refuses unknown fields, so that a typing error is reported and not
ignored, and takes null for absent. What we answer (`Message`) tolerates unknown fields, so that a newer
writer does not break a reader. A reader of our own records and answers passes `extra="ignore"`, which holds
for requests within them too.
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, JsonValue, Strict, model_validator

Int = Annotated[int, Strict()]
"""An integer of a request: no boolean, no text, no fraction."""
Float = Annotated[float, Strict()]
"""A number of a request: no boolean and no text."""
Bool = Annotated[bool, Strict()]
"""A boolean of a request: no number and no text."""
SINCE_0_2: dict[str, JsonValue] = {"since": "0.2"}
"""Marks a field that logs of release 0.1 do not cover: the digests that they recorded leave it out."""


class Message(BaseModel):
    """A message that we send: immutable, tolerant of fields that a newer writer adds."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="null")


class Request(BaseModel):
    """A message that we are sent: immutable, an unknown field is an error, and null means absent."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, data: Any) -> Any:
        """Leave fields that are null to their defaults."""
        if not isinstance(data, dict) or not any(value is None for value in data.values()):  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
            return data  # pyright: ignore[reportUnknownVariableType]
        fields = cls.model_fields
        return {
            name: value
            for name, value in data.items()  # pyright: ignore[reportUnknownVariableType]
            if value is not None or name not in fields or fields[name].is_required()
        }
