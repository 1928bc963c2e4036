"""What all stores share: the client, the partitions, the scripts and how long a call is repeated."""

from typing import Any

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster

from services.orchestrator.settings import OrchestratorSettings
from services.orchestrator.store import scripts
from services.orchestrator.store.errors import (
    AheadError,
    BranchesError,
    FencedError,
    LimitError,
    OverError,
)
from services.orchestrator.store.keys import Partitions

PATIENCE = 2.0
"""How long a call is repeated while Redis is away, where nothing else is set, seconds."""
ROOT = "0"
"""The id of every episode's root branch."""


class Store:
    """Calls of Redis. Every one is safe to repeat, and is repeated while Redis is away.

    Args:
        redis: The client, of one server or of a cluster.
        settings: Limits and lifetimes.
        patience: How long a call is repeated, seconds.
    """

    def __init__(
        self, redis: Redis | RedisCluster, settings: OrchestratorSettings, patience: float = PATIENCE
    ) -> None:
        self.redis: Any = redis  # its stubs mix the answers of the sync and the async client
        self.settings = settings
        self.patience = patience
        self.partitions = Partitions(settings.partitions)

    def key(self, episode: str, part: str = "") -> str:
        """Return a key of one episode: its hash, or its `log`, `branches` or `texts`."""
        return self.partitions.of(episode).episode(episode, part)

    def script(self, text: str, *parts: str) -> Any:
        """Register a script, with the functions that it uses."""
        return self.redis.register_script("".join([scripts.SHARED, *parts, text]))


def raise_refusal(answer: bytes) -> bool:
    """Return whether the log is full now, of a write that was done.

    Raises:
        FencedError: A branch was taken over or ended early.
        OverError: The episode has ended.
        LimitError: The log takes nothing more.
        BranchesError: The episode has as many branches as it may have.
        AheadError: A call's number does not follow the last one of its branch.
    """
    match answer:
        case b"ok":
            return False
        case b"full":
            return True
        case b"fenced":
            raise FencedError
        case b"limit":
            raise LimitError
        case b"branches":
            raise BranchesError
        case b"gap":
            raise AheadError
        case _:
            raise OverError
