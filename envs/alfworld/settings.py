"""What the ALFWorld server reads from its environment variables."""

from enum import StrEnum
from pathlib import Path

from pydantic import AliasChoices, Field
from pydantic_settings import SettingsConfigDict

from envs.serving.settings import EnvironmentSettings


class EngineKind(StrEnum):
    """What plays the games."""

    NATIVE = "native"
    """This package's engine, in the server's process."""
    TEXTWORLD = "textworld"
    """The `alfworld` package's engine, in worker processes."""


class AlfworldSettings(EnvironmentSettings):
    """Settings of the ALFWorld server."""

    model_config = SettingsConfigDict(populate_by_name=True)

    alfworld_data: Path | None = Field(
        default=None, validation_alias=AliasChoices("ESPALIER_ALFWORLD_DATA", "ALFWORLD_DATA")
    )
    """The official data: the folder that holds `json_2.1.1`. Without it only generated houses are played."""
    alfworld_generated: int = Field(default=10_000, ge=0, le=1_000_000)
    """How many houses each generated split has."""
    alfworld_engine: EngineKind = EngineKind.NATIVE
    """`native` plays in the server's process, `textworld` on the `alfworld` package in worker processes."""
    alfworld_workers: int = Field(default=2, ge=1, le=256)
    """TextWorld processes; each runs many sessions, one call at a time."""
    alfworld_worker_episodes: int = Field(default=400, ge=1)
    """A worker is replaced after it has started this many episodes: TextWorld leaks."""
    alfworld_worker_memory: int = Field(default=1500, ge=100)
    """A worker is replaced when it has grown to this size, MiB."""
    alfworld_call_timeout: float = Field(default=60.0, gt=0)
    """A worker that does not answer one call in this time is killed, seconds."""
