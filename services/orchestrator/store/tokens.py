"""Tokens that tenants spend, each against its limit a minute.

Each tenant has a bucket that holds a minute's tokens and fills evenly (GCRA: one time a tenant, at which its
bucket is full again). What a call costs is known after it, so a bucket may be overdrawn; the tenant then
waits until it holds something. A tenant whose limit is changed gets a new bucket: what is missing in the old
one is known by its old limit alone. All buckets lie in the first partition, so that a limit holds for all.
"""

from dataclasses import dataclass

from services.orchestrator.store.base import Store
from services.orchestrator.store.patience import patient
from services.orchestrator.store.transient import is_transient

MINUTE = 60_000
"""Milliseconds."""
SPEND = """
-- KEYS: spent
-- ARGV: bucket, and in how many ms its bucket takes in what was spent
local now = now_ms()
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local full = math.max(now, tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or 0)) + tonumber(ARGV[2])
redis.call('ZADD', KEYS[1], full, ARGV[1])
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', math.ceil(tonumber(last[2]))))
return 'ok'
"""
FIND = """
-- KEYS: spent
-- ARGV: a bucket, or nothing: all that lack more than a minute's tokens
-- Answers each bucket and the ms until it is full.
local now = now_ms()
if ARGV[1] then
  local full = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or now)
  return {ARGV[1], math.max(0, math.ceil(full - now))}
end
local found = redis.call('ZRANGEBYSCORE', KEYS[1], now + 60000, '+inf', 'WITHSCORES')
for i = 2, #found, 2 do found[i] = math.ceil(tonumber(found[i]) - now) end
return found
"""


@dataclass(frozen=True)
class Spending:
    """Where a tenant stands."""

    tokens: int
    """What it spent that is not made good yet."""
    wait: float
    """Seconds until it may go on; 0: now."""


class TokenStore(Store):
    """Counts the tokens of tenants that have a limit of tokens."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # pyright: ignore[reportArgumentType]
        self._spend = self.script(SPEND)
        self._find_spending = self.script(FIND)

    async def spend(self, tenant: str, tokens: int) -> None:
        """Count tokens; while Redis is away none are, so that the answer that they paid for is not lost."""
        limit = self.settings.limits_of(tenant).tokens_per_minute
        if limit is None or tokens <= 0:
            return
        try:
            await self._spend(keys=[self._spent], args=[_bucket(tenant, limit), tokens * MINUTE / limit])
        except Exception as error:
            if not is_transient(error):
                raise

    @patient
    async def measure_spending(self, tenant: str) -> Spending:
        """Return where a tenant stands with its limit of tokens."""
        limit = self.settings.limits_of(tenant).tokens_per_minute
        if limit is None:
            return Spending(0, 0.0)
        _, lacking = await self._find_spending(keys=[self._spent], args=[_bucket(tenant, limit)])
        wait = (lacking - MINUTE + 1) / 1000 if lacking >= MINUTE else 0.0
        return Spending(round(lacking * limit / MINUTE), wait)

    async def find_overspent(self) -> dict[str, int]:
        """Return the tenants that have no tokens left, each with the milliseconds until it has some.

        It is a part of calls that are repeated, and is not repeated by itself.
        """
        if not any(limits.tokens_per_minute for limits in self.settings.tenant_limits.values()):
            return {}
        found = await self._find_spending(keys=[self._spent], args=[])
        waits: dict[str, int] = {}
        for bucket, lacking in zip(found[::2], found[1::2], strict=True):
            tenant, _, limit = bucket.decode().partition("|")
            if limit == str(self.settings.limits_of(tenant).tokens_per_minute):
                waits[tenant] = lacking - MINUTE + 1
        return waits

    @property
    def _spent(self) -> str:
        return self.partitions.all[0].spent


def _bucket(tenant: str, limit: int) -> str:
    return f"{tenant}|{limit}"
