-- The script that took jobs before tenants had turns: by when they are due alone.

local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
local function wake(key)
  if redis.call('LLEN', key) < 64 then redis.call('RPUSH', key, 1) end
end
local function put_ready(ready, wake_key, branches, episode, branch, due)
  redis.call('HSET', branches, branch .. ':state', 'ready')
  redis.call('ZADD', ready, due, episode .. '/' .. branch)
  if due <= now_ms() then wake(wake_key) end
end

-- KEYS: ready, leases
-- ARGV: prefix of an episode's keys, lease ms, worker, now (Unix seconds, for events)
-- Takes the next job that is due: one whose lease has run out before one that waits.
local now = now_ms()
while true do
  local due = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 1)
  local expired = due[1] and 1 or 0
  if not due[1] then due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 1) end
  if not due[1] then
    local later = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
    local lost = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
    local at = math.min(tonumber(later[2] or math.huge), tonumber(lost[2] or math.huge))
    return {'none', at == math.huge and -1 or math.max(0, math.floor(at - now))}
  end
  local job = due[1]
  redis.call('ZREM', KEYS[1], job)
  redis.call('ZREM', KEYS[2], job)
  local episode, branch = string.match(job, '^(.-)/(.*)$')
  local hash = ARGV[1] .. episode
  local log, branches = hash .. ':log', hash .. ':branches'
  local state = redis.call('HGET', hash, 'state')
  local ended = redis.call('HGET', branches, branch .. ':end')
  if (state == 'queued' or state == 'running') and not ended then
    local epoch = redis.call('HINCRBY', hash, 'epoch', 1)
    local before = redis.call('HMGET', branches, branch .. ':worker', branch .. ':epoch', branch .. ':at')
    if state == 'queued' then
      redis.call('HSET', hash, 'state', 'running', 'started', ARGV[4])
      redis.call('XADD', log, '*', 'e', '{"type":"episode.started","at":' .. ARGV[4] .. '}')
      redis.call('HINCRBY', hash, 'events', 1)
    end
    redis.call('HSET', branches, branch .. ':epoch', epoch, branch .. ':state', 'running')
    redis.call('ZADD', KEYS[2], now + tonumber(ARGV[2]), job)
    local opened = before[3] and redis.call('XRANGE', log, before[3], before[3]) or {}
    return {'job', episode, branch, epoch, before[2] and 1 or 0, redis.call('HGET', hash, 'spec') or '',
      opened[1] and opened[1][2][2] or '', redis.call('HGET', branches, branch .. ':outage') or '',
      redis.call('HGET', hash, 'started') or ARGV[4], before[1] ~= ARGV[3] and 1 or 0,
      expired}
  end
end
