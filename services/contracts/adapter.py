"""LoRA adapters that the actor can be asked to use."""

from pydantic import Field

from services.contracts.base import Message, Request

ADAPTER_NAME = r"^[a-z][a-z0-9_-]*@[0-9a-f]{8,64}$"
"""Adapters are immutable and named by their digest: `actor@<digest>`."""


class AdapterLoad(Request):
    """`POST /v1/adapters`: load an adapter into the engine."""

    name: str = Field(pattern=ADAPTER_NAME)
    path: str = Field(min_length=1, max_length=4096)
    """The adapter's folder as the engine sees it."""


class Adapter(Message):
    """One adapter that is served."""

    name: str
    merged: bool = False
    """Merged into the engine's weights, and so in force for every request."""


class Adapters(Message):
    """`GET /v1/adapters`."""

    base: str
    """The base model's name."""
    adapters: list[Adapter]
    runtime: bool
    """Whether the engine loads adapters at run time."""
    profile: str = ""
    """The prompt profile that the actor renders with, `name@digest`."""
