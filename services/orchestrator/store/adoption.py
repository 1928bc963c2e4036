"""Moves the episodes of release 0.1, whose keys were laid out otherwise, into this release's layout.

Ended episodes keep their lifetime. Live ones go on from their logs; workers of release 0.1 find them gone and
drop them. Release 0.1 did not run on a cluster.
"""

import contextlib
from typing import Any

import orjson
import structlog

from services.orchestrator.settings import OrchestratorSettings
from services.orchestrator.store.episodes import EpisodeStore
from services.orchestrator.store.patience import patient
from services.orchestrator.store.transient import is_transient

INDEX = "espalier:episodes"
LIVE, CLEANUP = "espalier:live", "espalier:cleanup"
BATCH = 200
ADOPT = """
-- KEYS: old hash, log and epochs; hash, log, branches, index, live, ready, wake and cleanup; old index, live
--   and cleanup
-- ARGV: id, adapter
if redis.call('EXISTS', KEYS[1]) == 1 and redis.call('EXISTS', KEYS[4]) == 0 then
  local state = redis.call('HGET', KEYS[1], 'state')
  redis.call('RENAME', KEYS[1], KEYS[4])
  if redis.call('EXISTS', KEYS[2]) == 1 then redis.call('RENAME', KEYS[2], KEYS[5]) end
  redis.call('ZADD', KEYS[7], 0, ARGV[1])
  redis.call('HSET', KEYS[4], 'adapter', ARGV[2])
  if state == 'queued' or state == 'running' then
    local epoch, branches = 0, 1
    local epochs = redis.call('HVALS', KEYS[3])
    for _, held in ipairs(epochs) do epoch = math.max(epoch, tonumber(held)) end
    redis.call('HSET', KEYS[6], '0:job', '0', '0:epoch', epoch)
    local outage = redis.call('HGET', KEYS[4], 'outage')
    if outage then redis.call('HSET', KEYS[6], '0:outage', outage) end
    for _, entry in ipairs(redis.call('XRANGE', KEYS[5], '-', '+')) do
      local event = cjson.decode(entry[2][2])
      if event.seq then redis.call('HSET', KEYS[6], event.branch .. ':seq', event.seq) end
      if event.type == 'branch.opened' then
        branches = branches + 1
        redis.call('HSET', KEYS[6], event.data.opened .. ':at', entry[1], event.data.opened .. ':job', '0')
      elseif event.type == 'branch.closed' then
        redis.call('HSET', KEYS[6], event.branch .. ':end', entry[1])
      end
    end
    redis.call('HSET', KEYS[6], '#', branches)
    redis.call('HSET', KEYS[4], 'epoch', epoch)
    redis.call('HINCRBY', KEYS[8], 'total', 1)
    if ARGV[2] ~= '' then redis.call('HINCRBY', KEYS[8], 'adapter:' .. ARGV[2], 1) end
    put_ready(KEYS[9], KEYS[10], KEYS[6], ARGV[1], '0', now_ms())
  elseif redis.call('SISMEMBER', KEYS[14], ARGV[1]) == 1 then
    redis.call('ZADD', KEYS[11], now_ms(), ARGV[1])
  end
end
redis.call('DEL', KEYS[3])
redis.call('ZREM', KEYS[12], ARGV[1])
redis.call('SREM', KEYS[13], ARGV[1])
redis.call('SREM', KEYS[14], ARGV[1])
return 'ok'
"""
log = structlog.get_logger()


class Adoption(EpisodeStore):
    """The store of the episodes that release 0.1 wrote."""

    async def adopt(self) -> int:
        """Move all episodes of release 0.1 and return how many there were."""
        script = self.script(ADOPT)
        count = 0
        while names := await self._list():
            for name in names:
                await self._adopt(script, name.decode())
            count += len(names)
        if count:
            await self.redis.delete(LIVE, CLEANUP)
            log.info("episodes of release 0.1 were moved into this release's layout", episodes=count)
        return count

    @patient
    async def _list(self) -> list[bytes]:
        return await self.redis.zrange(INDEX, 0, BATCH - 1)

    @patient
    async def _adopt(self, script: Any, episode: str) -> None:
        partition = self.partitions.of(episode)
        old = f"espalier:episode:{{{episode}}}"
        keys = [old, f"{old}:log", f"{old}:epochs"]
        keys += [partition.episode(episode, part) for part in ("", "log", "branches")]
        keys += [partition.index, partition.live, partition.ready, partition.wake, partition.cleanup]
        spec = await self.redis.hget(old, "spec")
        adapter = ""
        with contextlib.suppress(orjson.JSONDecodeError, AttributeError):
            adapter = orjson.loads(spec or b"{}").get("adapter") or ""
        await script(keys=[*keys, INDEX, LIVE, CLEANUP], args=[episode, adapter])


async def adopt_earlier(redis: Any, settings: OrchestratorSettings) -> None:
    """Move the episodes of release 0.1; where Redis is away now, the next process does it."""
    try:
        await Adoption(redis, settings).adopt()
    except Exception as error:
        if not is_transient(error):
            raise
