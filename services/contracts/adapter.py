"""LoRA adapters: served, loaded, pinned by live episodes."""

from typing import Self

from pydantic import Field, model_validator

from services.contracts.base import Message, Request

ADAPTER_NAME = r"^[a-z][a-z0-9_-]*@[0-9a-f]{8,64}$"
"""Adapters are immutable and named by their digest: `actor@<digest>`."""


class AdapterLoad(Request):
    """`POST /v1/adapters`: load an adapter into the engine, or go on with another engine."""

    name: str = Field(pattern=ADAPTER_NAME)
    path: str | None = Field(default=None, min_length=1, max_length=4096)
    """The adapter's folder as the engine sees it."""
    engine: str | None = Field(default=None, pattern=r"^https?://[^\s/?#@]+/?$", max_length=300)
    """The address of an engine that has the adapter merged into its weights."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.path is None) == (self.engine is None):
            raise ValueError("give either path or engine")
        return self


class Adapter(Message):
    """One adapter that is served."""

    name: str
    merged: bool = False
    """Merged into an engine's weights: the one that does not drain answers what names no adapter."""
    draining: bool = False
    """Kept for the episodes that are pinned to it; new ones cannot name it."""


class Adapters(Message):
    """`GET /v1/adapters`."""

    base: str
    """The base model's name."""
    adapters: list[Adapter]
    runtime: bool
    """Whether the engine loads adapters at run time."""
    profile: str = ""
    """The prompt profile that the actor renders with, `name@digest`."""


class PinnedAdapters(Message):
    """`GET /v1/adapters/pinned` of the orchestrator: the adapters that live episodes use."""

    adapters: dict[str, int]
    """Live episodes by the name of their adapter; an adapter without any is left out."""
