"""Settings of the orchestrator and its workers."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, StringConstraints
from pydantic_settings import SettingsConfigDict

from services.kit.keys import TENANT
from services.kit.metrics import OTHER
from services.kit.settings import Settings

MOST_SERVERS = 64
"""Servers of one environment."""
MOST_TENANTS = 50
"""Tenants with limits of their own; metrics show each by name."""


def _check_servers(given: object) -> object:
    urls: list[object] = given if isinstance(given, list) else [given]
    plain: list[str] = []
    for url in urls:
        parts = urlsplit(url) if isinstance(url, str) else None
        if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("give an address such as http://127.0.0.1:8201, or a list of addresses")
        plain.append(str(url).rstrip("/"))
    if not 1 <= len(urls) <= MOST_SERVERS:
        raise ValueError(f"{len(urls)} servers; an environment has 1 to {MOST_SERVERS}")
    if len(set(plain)) < len(plain):
        raise ValueError("the list names a server twice")
    return plain if isinstance(given, list) else plain[0]


Servers = Annotated[str | list[str], BeforeValidator(_check_servers)]
"""The address of an environment's server, or the addresses of several."""


class Branches(StrEnum):
    """Where the branches that a method opens run."""

    LOCAL = "local"
    """In the process that runs their parent."""
    SPREAD = "spread"
    """As jobs of their own that any worker takes."""
    AUTO = "auto"
    """In the parent's process while it has free slots, else as jobs."""


class TenantLimits(BaseModel):
    """What a tenant may do at once, and its share where others want to work, too."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    episodes: int | None = Field(default=None, ge=1)
    """Episodes queued or running; more are answered 429."""
    branches: int | None = Field(default=None, ge=1)
    """Jobs that workers have at once; more wait in the queue."""
    tokens_per_minute: int | None = Field(default=None, ge=1)
    """Prompt and completion tokens; past it new episodes are answered 429 and branches wait."""
    weight: float = Field(default=1.0, ge=0.001, le=1000)
    """Its share of the jobs that are taken while several tenants have jobs that wait."""


EVERYONE = "*"
"""Stands for each tenant that has no limits of its own."""
NO_LIMITS = TenantLimits()


class OrchestratorSettings(Settings):
    """What the orchestrator's API and the workers read; an empty variable counts as absent."""

    model_config = SettingsConfigDict(env_ignore_empty=True)

    redis_url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    redis_cluster: bool = False
    """Whether `redis_url` is a node of a cluster."""
    partitions: int = Field(default=1, ge=1, le=99)
    """Parts of the key space; each lies in one slot of a cluster. Fixed as long as episodes are kept."""
    planner_url: str = "http://127.0.0.1:8001"
    judge_url: str = "http://127.0.0.1:8002"
    actor_url: str = "http://127.0.0.1:8003"
    environments: dict[str, Servers] = Field(
        default_factory=lambda: {
            "alfworld": "http://127.0.0.1:8201",
            "webshop": "http://127.0.0.1:8202",
            "mind2web": "http://127.0.0.1:8203",
            "os_interaction": "http://127.0.0.1:8204",
            "dbbench": "http://127.0.0.1:8205",
        }
    )
    """Environments by name, as JSON: an address, or a list of the addresses of several servers."""
    adapter_cards: Path | None = None
    """The folder of the adapters' cards, which hold what was calibrated for each; None: that of the adapters
    that come with the package."""
    episode_ttl: float = Field(default=7 * 86400, gt=0)
    """How long a finished episode is kept, seconds."""
    idempotency_ttl: float = Field(default=86400, gt=0)
    """How long an `Idempotency-Key` is remembered, seconds."""
    max_live_episodes: int = Field(default=10_000, ge=1)
    """Episodes queued or running; more are answered 429."""
    tenant_limits: dict[Annotated[str, StringConstraints(pattern=rf"^({TENANT}|\*)$")], TenantLimits] = Field(
        default_factory=dict[str, TenantLimits], max_length=MOST_TENANTS
    )
    """Limits by tenant, as JSON; `*`: of each tenant that is not named."""
    max_streams: int = Field(default=256, ge=1)
    """Event streams open at once in one process; more are answered 429."""
    max_events: int = Field(default=20_000, ge=10)
    """Events of one episode."""
    max_bytes: int = Field(default=64_000_000, ge=10_000)
    """Bytes of one episode's log; at either limit it ends by budget."""
    branches: Branches = Branches.AUTO
    """Where branches run: `local`, `spread` or `auto`."""
    max_branches: int = Field(default=1000, ge=1)
    """Branches of one episode; at the limit no more are opened, and it ends by budget."""
    worker_concurrency: int = Field(default=12, ge=1)
    """Jobs that one worker process runs at once."""
    lease: float = Field(default=10.0, ge=1)
    """A worker that does not renew its job for so long loses it, seconds."""
    sweep: float = Field(default=5.0, gt=0)
    """Seconds between two looks for sessions and figures that ended episodes left."""
    watch: float = Field(default=0.5, gt=0)
    """Seconds between two renewals of the leases, which find out what was cancelled too."""
    outage_grace: float = Field(default=120.0, ge=0)
    """A part that is away for longer fails the branch, seconds."""
    outage_pause: float = Field(default=3.0, gt=0)
    """How long a branch is laid aside before a part that is away is tried again, seconds."""
    call_timeout: float = Field(default=270.0, gt=0)
    """Deadline of one call to a role or an environment, seconds."""

    @property
    def cards(self) -> Path:
        """Where the cards of adapters are."""
        return self.adapter_cards or Path(__file__).parents[2] / "training" / "adapters"

    def limits_of(self, tenant: str) -> TenantLimits:
        """Return the limits of a tenant: its own, else those of everyone."""
        return self.tenant_limits.get(tenant) or self.tenant_limits.get(EVERYONE) or NO_LIMITS

    def show_tenant(self, tenant: str) -> str:
        """Return what metrics call a tenant: its name where it has limits of its own, else `other`."""
        return tenant if tenant in self.tenant_limits else OTHER

    def divide(self, limit: int) -> int:
        """Return a partition's share of a tenant's limit, rounded up."""
        return -(-limit // self.partitions)

    def servers(self, name: str) -> list[str]:
        """Return the addresses of an environment's servers."""
        given = self.environments[name]
        return [given] if isinstance(given, str) else given
