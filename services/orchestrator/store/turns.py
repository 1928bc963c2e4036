"""The order in which jobs are taken: fair between tenants, and within a tenant interactive before batch.

`ready` holds every job that waits, by when it is due, and decides what may be taken. When a job is due,
`TAKE` moves its score there below 0 and puts it into its tenant's queue as well. An entry of a queue that is
not in `ready`, or not due there, is a remainder and is dropped when its turn comes: so no other script has to
know of the queues, and a worker of a release that takes by `ready` alone may run beside.

Tenants take turns by start-time fair queueing (Goyal, Vin and Cheng, 1996). A tenant whose queue holds jobs
has a start tag, the tenant with the lowest one is next, and its tag grows by 1 / weight. The virtual time is
the highest tag that was served; a tenant that comes back begins there, so that it cannot save turns up.

Keys beside `ready`:
  `turns`             sorted set: tenants whose queues hold jobs, by start tag
  `rest`              sorted set: tenants whose queues are empty and whose tag is ahead of the virtual time
  `fair`              hash: `virtual`, and `streak:<tenant>`, interactive jobs taken while batch jobs waited
  `queue:<tenant>`    sorted set: its due jobs, by when they became due; batch jobs `BATCH` later
  `running:<tenant>`  sorted set: jobs of it that workers have, where their number is limited; those that are
                      not in `leases` any more are dropped when it is full
All but the last are gone when nothing is due.
"""

ADMITTED_AT_ONCE = 1000
"""Jobs that one `TAKE` moves into the queues at most."""
BATCH_TURN = 8
"""While jobs of both priorities wait, every eighth job of a tenant is a batch job."""

TAKE = f"""
-- KEYS: ready, leases
-- ARGV: prefix of an episode's keys, lease ms, worker, now (Unix seconds, for events), and as JSON `weights`
--   and `branches` of tenants (0: no limit; `*`: of all others) and `blocked`, for how many ms tenants wait
-- Takes the next job that is due: one whose lease has run out before one that waits.
local BATCH, BELOW = 10000000000000, 10000000000000  -- more than any time in ms
local now = now_ms()
local tag = string.match(KEYS[1], '^(.*)ready$')
local turns, rest, fair = tag .. 'turns', tag .. 'rest', tag .. 'fair'
local given = cjson.decode(ARGV[5])
local virtual = tonumber(redis.call('HGET', fair, 'virtual') or 0)

local function admit(lowest)
  local due = redis.call('ZRANGEBYSCORE', KEYS[1], lowest, now, 'WITHSCORES', 'LIMIT', 0, {ADMITTED_AT_ONCE})
  local seen = {{}}
  for i = 1, #due, 2 do
    local job, at = due[i], tonumber(due[i + 1])
    if at < 0 then at = at + BELOW end
    local kept = redis.call('HMGET', ARGV[1] .. string.match(job, '^(.-)/'), 'tenant', 'priority')
    local tenant = kept[1] or 'local'
    redis.call('ZADD', tag .. 'queue:' .. tenant, kept[2] == 'batch' and at + BATCH or at, job)
    redis.call('ZADD', KEYS[1], at - BELOW, job)
    if not seen[tenant] and not redis.call('ZSCORE', turns, tenant) then
      redis.call('ZADD', turns, math.max(virtual, tonumber(redis.call('ZSCORE', rest, tenant) or 0)), tenant)
      redis.call('ZREM', rest, tenant)
    end
    seen[tenant] = true
  end
  return due[1]
end

local function find_first(queue, lowest, highest)
  while true do
    local found = redis.call('ZRANGEBYSCORE', queue, lowest, highest, 'WITHSCORES', 'LIMIT', 0, 1)
    if not found[1] then return nil end
    local at = redis.call('ZSCORE', KEYS[1], found[1])
    if at and tonumber(at) <= now then return found[1], tonumber(found[2]) end
    redis.call('ZREM', queue, found[1])
  end
end

local function find_next(tenant)
  local queue, streak = tag .. 'queue:' .. tenant, 'streak:' .. tenant
  local urgent, urgent_at = find_first(queue, '-inf', '(' .. string.format('%.0f', BATCH))
  local batch, batch_at = find_first(queue, BATCH, '+inf')
  if urgent and not batch then return urgent, urgent_at, 'interactive' end
  if not batch then return nil end
  if urgent and tonumber(redis.call('HGET', fair, streak) or 0) < {BATCH_TURN - 1} then
    return urgent, urgent_at, 'interactive', 1
  end
  return batch, batch_at - BATCH, 'batch', -1
end

local function limit_of(tenant) return given.branches[tenant] or given.branches['*'] or 0 end

local function is_full(tenant)
  local limit, running = limit_of(tenant), tag .. 'running:' .. tenant
  if limit == 0 or redis.call('ZCARD', running) < limit then return false end
  redis.call('ZINTERSTORE', running, 2, running, KEYS[2], 'WEIGHTS', 0, 1)
  redis.call('PEXPIRE', running, 86400000)
  return redis.call('ZCARD', running) >= limit
end

local function leave(tenant, finish)
  redis.call('ZREM', turns, tenant)
  redis.call('HDEL', fair, 'streak:' .. tenant)
  if finish > virtual then redis.call('ZADD', rest, finish, tenant) end
end

local function note_running(tenant, job)
  if limit_of(tenant) > 0 then
    redis.call('ZADD', tag .. 'running:' .. tenant, now, job)
    redis.call('PEXPIRE', tag .. 'running:' .. tenant, 86400000)
  end
end

local blocked_for = math.huge
local function choose()
  local skipped = 0
  while true do
    local turn = redis.call('ZRANGE', turns, skipped, skipped, 'WITHSCORES')
    local tenant, start = turn[1], tonumber(turn[2] or 0)
    if not tenant then return nil end
    local job, at, priority, streak = find_next(tenant)
    if not job then
      leave(tenant, start)
    elseif given.blocked[tenant] or is_full(tenant) then
      blocked_for = math.min(blocked_for, given.blocked[tenant] or math.huge)
      skipped = skipped + 1
    else
      virtual = math.max(virtual, start)
      local finish = virtual + 1 / (given.weights[tenant] or given.weights['*'] or 1)
      redis.call('ZREM', tag .. 'queue:' .. tenant, job)
      if redis.call('EXISTS', tag .. 'queue:' .. tenant) == 0 then
        leave(tenant, finish)
      else
        redis.call('ZADD', turns, finish, tenant)
        if streak == 1 then redis.call('HINCRBY', fair, 'streak:' .. tenant, 1) end
        if streak == -1 then redis.call('HDEL', fair, 'streak:' .. tenant) end
      end
      redis.call('HSET', fair, 'virtual', string.format('%.17g', virtual))
      redis.call('ZREMRANGEBYSCORE', rest, '-inf', virtual)
      return job, at, priority, tenant
    end
  end
end

while true do
  local due = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 1)
  local job, expired = due[1], due[1] and 1 or 0
  local at, priority, tenant = now, '', ''
  if not job then
    admit(0)
    job, at, priority, tenant = choose()
    if redis.call('EXISTS', turns) == 0 then
      redis.call('DEL', fair, rest)
      virtual = 0
      if not job and admit('-inf') then job, at, priority, tenant = choose() end  -- no queue holds it
    end
  end
  if not job then
    local after = '(' .. string.format('%.0f', now)
    local later = redis.call('ZRANGEBYSCORE', KEYS[1], after, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
    local lost = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
    local wait = math.min(tonumber(later[2] or math.huge), tonumber(lost[2] or math.huge)) - now
    wait = math.min(wait, blocked_for)
    return {{'none', wait == math.huge and -1 or math.max(0, math.floor(wait))}}
  end
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
      redis.call('XADD', log, '*', 'e', '{{"type":"episode.started","at":' .. ARGV[4] .. '}}')
      redis.call('HINCRBY', hash, 'events', 1)
    end
    redis.call('HSET', branches, branch .. ':epoch', epoch, branch .. ':state', 'running')
    redis.call('ZADD', KEYS[2], now + tonumber(ARGV[2]), job)
    if expired == 1 then tenant = redis.call('HGET', hash, 'tenant') or 'local' end
    note_running(tenant, job)
    local opened = before[3] and redis.call('XRANGE', log, before[3], before[3]) or {{}}
    return {{'job', episode, branch, epoch, before[2] and 1 or 0, redis.call('HGET', hash, 'spec') or '',
      opened[1] and opened[1][2][2] or '', redis.call('HGET', branches, branch .. ':outage') or '',
      redis.call('HGET', hash, 'started') or ARGV[4], before[1] ~= ARGV[3] and 1 or 0,
      expired, tenant, priority, math.max(0, now - at)}}
  end
end
"""
