"""Names of the keys in Redis. All keys of a partition share one hash tag, and so one slot of a cluster.

An episode's partition follows from its id, so that its keys, its indexes and its queue are together and every
script stays in one slot.
"""

import zlib
from dataclasses import dataclass

from services.kit.keys import LOCAL

PREFIX = "espalier"


@dataclass(frozen=True)
class Partition:
    """One part of the key space."""

    number: int

    @property
    def tag(self) -> str:
        """The start of every key of this partition."""
        return f"{PREFIX}:{{p{self.number:02}}}:"

    @property
    def index(self) -> str:
        """Sorted set: the ids of its episodes, which sort by time."""
        return self.tag + "episodes"

    @property
    def ready(self) -> str:
        """Sorted set: jobs that wait for a worker, by when they are due, milliseconds (`turns` has more)."""
        return self.tag + "ready"

    @property
    def leases(self) -> str:
        """Sorted set: jobs that a worker has, by when its lease ends, milliseconds."""
        return self.tag + "leases"

    @property
    def wake(self) -> str:
        """List: a token for each job that became ready; workers that have nothing to do block on it."""
        return self.tag + "wake"

    @property
    def live(self) -> str:
        """Hash: how many episodes are live, in all (`total`) and by adapter (`adapter:<name>`)."""
        return self.tag + "live"

    def tenant_live(self, tenant: str) -> str:
        """Set: the live episodes of a tenant."""
        return f"{self.live}:{tenant}"

    @property
    def spent(self) -> str:
        """Sorted set: tenants by when the tokens that they spent are made good, milliseconds."""
        return self.tag + "spent"

    @property
    def ended(self) -> str:
        """Set: episodes that ended and are not counted in the metrics yet."""
        return self.tag + "ended"

    @property
    def cleanup(self) -> str:
        """Sorted set: episodes that ended and may have open sessions, by when to look, milliseconds."""
        return self.tag + "cleanup"

    def idempotency(self, key: str, tenant: str = LOCAL) -> str:
        """Hash: the episode that a tenant's idempotency key was used for, and the request's digest.

        A tenant's name has no colon, and a key may have some: the tenant stands first, and those of `local`
        have a name of their own.
        """
        return self.tag + (f"idempotency:{key}" if tenant == LOCAL else f"idempotency-of:{tenant}:{key}")

    def episode(self, episode: str, part: str = "") -> str:
        """Return a key of one episode: its hash, or its `log`, `branches` or `texts`."""
        return f"{self.tag}episode:{episode}{':' if part else ''}{part}"


class Partitions:
    """All partitions of a store."""

    def __init__(self, count: int) -> None:
        self.all = [Partition(number) for number in range(count)]

    def of(self, name: str) -> Partition:
        """Return the partition of an episode, or the one that an idempotency key's episode is made in."""
        return self.all[zlib.crc32(name.encode()) % len(self.all)]
