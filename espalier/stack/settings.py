"""Settings of `espalier up`."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from envs.registry import list_standalone
from espalier.serve import PORTS
from services.kit.settings import Settings


def _check_environment(name: str) -> str:
    if name not in list_standalone():
        raise ValueError(f"there is no environment {name!r}; there are: {', '.join(list_standalone())}")
    return name


class StackSettings(Settings):
    """What `espalier up` reads; the parts that it starts inherit the environment."""

    model_url: str = ""
    """An engine that is there already; by default the embedded one is started."""
    planner_model_url: str = ""
    judge_model_url: str = ""
    actor_model_url: str = ""
    redis_url: SecretStr = SecretStr("")
    """A Redis that is there already; by default an embedded Valkey is started."""
    workers: int = Field(default=1, ge=1, le=64)
    start_environments: list[Annotated[str, AfterValidator(_check_environment)]] = Field(
        default_factory=list_standalone
    )
    """The environments to start."""
    openenv: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")], str] = Field(
        default_factory=dict[str, str], max_length=32
    )
    """OpenEnv servers that are environments too: addresses by the names that they get here."""
    port_offset: int = Field(default=0, ge=0, le=50_000)
    """Added to every port, so that several stacks fit on one machine."""
    state_port: int = Field(default=6379, ge=1, le=65535)
    """Of the embedded Valkey, before the offset."""
    adapter: str = "agent"
    """What is merged into the embedded model: a shipped adapter's name, a folder, or `none`."""
    engine_replicas: int = Field(default=1, ge=1, le=16)
    """Embedded engines, each on its share of the cores, behind a router."""
    engine_kv_gib: float = Field(default=2.0, gt=0)
    """Memory of each embedded engine's prefix and KV cache, GiB."""
    engine_context: int = Field(default=8192, ge=512)
    """Context of the embedded engine, tokens."""
    engine_dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    """Numbers that the embedded engine computes with; `auto`: bfloat16 where the processor multiplies it."""
    engine_ready: float = Field(default=300.0, gt=0)
    """How long the engine may take to be ready, seconds."""
    part_ready: float = Field(default=60.0, gt=0)
    """How long any other part may take, seconds."""

    def port(self, part: str) -> int:
        """Where a part of this stack listens."""
        return (self.state_port if part == "state" else PORTS[part]) + self.port_offset

    def url(self, part: str) -> str:
        """A part's address."""
        return f"http://127.0.0.1:{self.port(part)}"

    @property
    def folder(self) -> Path:
        """Where generated files go, absolute."""
        return self.home.resolve()

    @property
    def logs(self) -> Path:
        """A log file a part."""
        return self.folder / "logs"

    @property
    def cards(self) -> Path:
        """The cards of the adapters that this stack has served."""
        return self.folder / "cards"

    @property
    def has_engine(self) -> bool:
        """Whether an engine was named, for all roles or for each."""
        each = (self.planner_model_url, self.judge_model_url, self.actor_model_url)
        return bool(self.model_url) or all(each)


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0))
