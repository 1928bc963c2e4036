"""Every write that must be one: Lua, run by Redis. All keys of a script lie in one partition.

`turns` has the script that takes jobs.

Fields of a branch `<b>` in an episode's hash `branches`:
  `<b>:seq`      the number of its last recorded call
  `<b>:at`       the log's entry that opened it
  `<b>:end`      the log's entry that closed it
  `<b>:job`      the job that runs it: its own id, or an ancestor's
  `<b>:outage`   when the outage that it waits out began
  `<b>:waiter`   the epoch of the job that waits for it
Fields of a branch that is a job:
  `<b>:epoch`    raised whenever it is taken
  `<b>:state`    `ready`, `running` or `waiting`
  `<b>:worker`   the worker that wrote for it last
  `<b>:batch`    the last batch of events that it wrote
  `<b>:pending`  how many branches it waits for
The field `#` counts the branches.

Leases and pauses are measured by Redis' clock, so that a worker's clock decides nothing. A write that is
refused answers why. Each script may be repeated: a call whose answer was lost may have been done.
"""

SHARED = """
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
"""

ENDING = """
-- `keys`: episode, log, branches, ready, leases, wake
local function end_branch(keys, episode, branch, entry)
  local branches = keys[3]
  redis.call('HSET', branches, branch .. ':end', entry)
  redis.call('ZREM', keys[4], episode .. '/' .. branch)
  redis.call('ZREM', keys[5], episode .. '/' .. branch)
  local parent = string.match(branch, '^(.*)%.[^.]*$')
  local above = parent and redis.call('HGET', branches, parent .. ':job')
  if above and redis.call('HGET', branches, above .. ':state') == 'waiting'
      and redis.call('HGET', branches, branch .. ':waiter') == redis.call('HGET', branches, above .. ':epoch')
      and redis.call('HINCRBY', branches, above .. ':pending', -1) == 0 then
    put_ready(keys[4], keys[6], branches, episode, above, now_ms())
  end
end
local function cancel_branch(keys, episode, branch, at)
  if redis.call('HGET', keys[3], branch .. ':end') then return end
  local entry = redis.call('XADD', keys[2], '*', 'e', cjson.encode({type = 'branch.closed', at = tonumber(at),
    branch = branch, data = {failure = 'cancelled'}}))
  redis.call('HINCRBY', keys[1], 'events', 1)
  if redis.call('HEXISTS', keys[3], branch .. ':epoch') == 1 then
    redis.call('HINCRBY', keys[3], branch .. ':epoch', 1)
  end
  end_branch(keys, episode, branch, entry)
end
local function cancel_below(keys, episode, branch, at)
  local below = branch .. '.'
  for _, field in ipairs(redis.call('HKEYS', keys[3])) do
    local name = string.match(field, '^(.*):job$')
    if name and string.sub(name, 1, #below) == below then cancel_branch(keys, episode, name, at) end
  end
end
"""

CREATE = """
-- KEYS: episode, log, branches, texts, index, live, idempotency, ready, wake, live of the tenant
-- ARGV: id, created, spec, event, request digest, idempotency ttl ms, max live, adapter, tenant, priority,
--   max live of the tenant (0: no limit), then digest and text of each long text
if redis.call('EXISTS', KEYS[1]) == 1 then return {'created', ARGV[1]} end  -- this very call, repeated
if ARGV[6] ~= '0' then
  local known = redis.call('HMGET', KEYS[7], 'id', 'digest')
  if known[1] then
    if known[2] ~= ARGV[5] then return {'conflict', known[1]} end
    return {'known', known[1]}
  end
end
if tonumber(redis.call('HGET', KEYS[6], 'total') or 0) >= tonumber(ARGV[7]) then return {'full', ''} end
local most = tonumber(ARGV[11])
if most > 0 and redis.call('SCARD', KEYS[10]) >= most then
  -- workers of a release without tenants leave what they end
  for _, id in ipairs(redis.call('SRANDMEMBER', KEYS[10], 20)) do
    local state = redis.call('HGET', string.sub(KEYS[1], 1, -1 - #ARGV[1]) .. id, 'state')
    if state ~= 'queued' and state ~= 'running' then redis.call('SREM', KEYS[10], id) end
  end
  if redis.call('SCARD', KEYS[10]) >= most then return {'crowded', ''} end
end
if ARGV[6] ~= '0' then
  redis.call('HSET', KEYS[7], 'id', ARGV[1], 'digest', ARGV[5])
  redis.call('PEXPIRE', KEYS[7], ARGV[6])
end
redis.call('HSET', KEYS[1], 'state', 'queued', 'created', ARGV[2], 'spec', ARGV[3], 'epoch', 0)
redis.call('HSET', KEYS[1], 'events', 1, 'bytes', #ARGV[4], 'adapter', ARGV[8])
redis.call('HSET', KEYS[1], 'tenant', ARGV[9], 'priority', ARGV[10])
for i = 12, #ARGV, 2 do redis.call('HSET', KEYS[4], ARGV[i], ARGV[i + 1]) end
redis.call('XADD', KEYS[2], '*', 'e', ARGV[4])
redis.call('HSET', KEYS[3], '0:job', '0', '#', 1)
redis.call('ZADD', KEYS[5], 0, ARGV[1])  -- ids sort by time
redis.call('HINCRBY', KEYS[6], 'total', 1)
redis.call('SADD', KEYS[10], ARGV[1])
if ARGV[8] ~= '' then redis.call('HINCRBY', KEYS[6], 'adapter:' .. ARGV[8], 1) end
put_ready(KEYS[8], KEYS[9], KEYS[3], ARGV[1], '0', now_ms())
return {'created', ARGV[1]}
"""

RENEW = """
-- KEYS: leases
-- ARGV: prefix of an episode's keys, lease ms, then job and epoch of each
-- Answers the jobs that are lost, each with `over` or `fenced`.
local lost = {}
local until_ms = now_ms() + tonumber(ARGV[2])
for i = 3, #ARGV, 2 do
  local episode, branch = string.match(ARGV[i], '^(.-)/(.*)$')
  local hash = ARGV[1] .. episode
  if redis.call('HGET', hash, 'state') ~= 'running' then
    lost[#lost + 1] = ARGV[i]
    lost[#lost + 1] = 'over'
  elseif redis.call('HGET', hash .. ':branches', branch .. ':epoch') ~= ARGV[i + 1]
      or redis.call('HGET', hash .. ':branches', branch .. ':state') ~= 'running' then
    lost[#lost + 1] = ARGV[i]
    lost[#lost + 1] = 'fenced'
  else
    redis.call('ZADD', KEYS[1], until_ms, ARGV[i])
  end
end
return lost
"""

RELEASE = """
-- KEYS: branches, ready, leases, wake
-- ARGV: episode, job, epoch, pause ms, then the branches that an outage stopped, and when each began
if redis.call('HGET', KEYS[1], ARGV[2] .. ':epoch') ~= ARGV[3] then return 'fenced' end
if redis.call('HGET', KEYS[1], ARGV[2] .. ':state') ~= 'running' then return 'ok' end  -- repeated
for i = 5, #ARGV, 2 do redis.call('HSETNX', KEYS[1], ARGV[i] .. ':outage', ARGV[i + 1]) end
redis.call('ZREM', KEYS[3], ARGV[1] .. '/' .. ARGV[2])
put_ready(KEYS[2], KEYS[4], KEYS[1], ARGV[1], ARGV[2], now_ms() + tonumber(ARGV[4]))
return 'ok'
"""

PARK = """
-- KEYS: episode, log, branches, ready, leases, wake
-- ARGV: episode, job, epoch, event, first ('1' where one branch is enough), last seq, then the branches
if redis.call('HGET', KEYS[3], ARGV[2] .. ':epoch') ~= ARGV[3] then return 'fenced' end
if redis.call('HGET', KEYS[1], 'state') ~= 'running' then return 'over' end
if redis.call('HGET', KEYS[3], ARGV[2] .. ':state') ~= 'running' then return 'ok' end  -- repeated
if tonumber(ARGV[6]) ~= tonumber(redis.call('HGET', KEYS[3], ARGV[2] .. ':seq') or -1) then return 'gap' end
local open, closed = {}, 0
for i = 7, #ARGV do
  if redis.call('HGET', KEYS[3], ARGV[i] .. ':end') then
    closed = closed + 1
  else
    open[#open + 1] = ARGV[i]
  end
end
redis.call('ZREM', KEYS[5], ARGV[1] .. '/' .. ARGV[2])
if #open == 0 or (ARGV[5] == '1' and closed > 0) then
  put_ready(KEYS[4], KEYS[6], KEYS[3], ARGV[1], ARGV[2], now_ms())
  return 'ok'
end
for _, branch in ipairs(open) do redis.call('HSET', KEYS[3], branch .. ':waiter', ARGV[3]) end
redis.call('HSET', KEYS[3], ARGV[2] .. ':state', 'waiting', ARGV[2] .. ':pending',
  ARGV[5] == '1' and 1 or #open)
redis.call('XADD', KEYS[2], '*', 'e', ARGV[4])
redis.call('HINCRBY', KEYS[1], 'events', 1)
return 'ok'
"""

APPEND = """
-- KEYS: episode (the others lie beside it and follow from its name, which saves their bytes at each step)
-- ARGV: episode, job, epoch, batch id, max events, max bytes, last events, last bytes, max branches,
--   how many texts, digest and text of each, then of each entry: what it does ('open', 'open-job', 'close',
--   'take' or ''), branch, seq ('' for none), event, and the branch that it opens, its last seq to close it,
--   or the worker that takes it
for place, part in ipairs({'log', 'branches', 'texts'}) do KEYS[place + 1] = KEYS[1] .. ':' .. part end
local tag = string.match(KEYS[1], '^.-}:')
for place, name in ipairs({'ready', 'leases', 'wake'}) do KEYS[place + 4] = tag .. name end
local job, epoch = ARGV[2], ARGV[3]
if redis.call('HGET', KEYS[3], job .. ':batch') == ARGV[4] then return 'ok' end  -- this very batch, repeated
if redis.call('HGET', KEYS[1], 'state') ~= 'running' then return 'over' end
if redis.call('HGET', KEYS[3], job .. ':epoch') ~= epoch then return 'fenced' end
local first = 11 + 2 * tonumber(ARGV[10])
local seqs, bytes, count = {}, 0, 0
for i = first, #ARGV, 5 do
  local branch, seq = ARGV[i + 1], ARGV[i + 2]
  if redis.call('HGET', KEYS[3], branch .. ':end') then return 'fenced' end  -- it was ended early
  if seq ~= '' then
    local last = seqs[branch] or tonumber(redis.call('HGET', KEYS[3], branch .. ':seq') or -1)
    if tonumber(seq) ~= last + 1 then return 'gap' end
    seqs[branch] = last + 1
  end
  if ARGV[i] == 'close' then  -- the end of a log whose tail was lost is no end
    local last = seqs[branch] or tonumber(redis.call('HGET', KEYS[3], branch .. ':seq') or -1)
    if tonumber(ARGV[i + 4]) ~= last then return 'gap' end
  elseif string.sub(ARGV[i], 1, 4) == 'open' then
    if tonumber(redis.call('HGET', KEYS[3], '#')) >= tonumber(ARGV[9]) then return 'branches' end
  end
  bytes = bytes + #ARGV[i + 3]
  count = count + 1
end
for i = 11, first - 1, 2 do
  if redis.call('HEXISTS', KEYS[4], ARGV[i]) == 0 then bytes = bytes + #ARGV[i + 1] end
end
local log = redis.call('HMGET', KEYS[1], 'events', 'bytes')
local events, size = tonumber(log[1]) + count, tonumber(log[2]) + bytes
if events > tonumber(ARGV[7]) or size > tonumber(ARGV[8]) then return 'limit' end
redis.call('HSET', KEYS[1], 'events', events, 'bytes', size)
for i = 11, first - 1, 2 do redis.call('HSETNX', KEYS[4], ARGV[i], ARGV[i + 1]) end

for i = first, #ARGV, 5 do
  local what, branch, seq, other = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 4]
  local entry = redis.call('XADD', KEYS[2], '*', 'e', ARGV[i + 3])
  if seq ~= '' then redis.call('HSET', KEYS[3], branch .. ':seq', seq) end
  if what == 'open' or what == 'open-job' then
    redis.call('HINCRBY', KEYS[3], '#', 1)
    redis.call('HSET', KEYS[3], other .. ':at', entry)
    if what == 'open-job' then
      redis.call('HSET', KEYS[3], other .. ':job', other)
      put_ready(KEYS[5], KEYS[7], KEYS[3], ARGV[1], other, now_ms())
    else
      redis.call('HSET', KEYS[3], other .. ':job', job)
    end
  elseif what == 'take' then
    redis.call('HSET', KEYS[3], branch .. ':worker', other)
  elseif what == 'close' then
    local keys = {KEYS[1], KEYS[2], KEYS[3], KEYS[5], KEYS[6], KEYS[7]}
    cancel_below(keys, ARGV[1], branch, cjson.decode(ARGV[i + 3]).at)
    end_branch(keys, ARGV[1], branch, entry)
  end
end
redis.call('HSET', KEYS[3], job .. ':batch', ARGV[4])
if events > tonumber(ARGV[5]) or size > tonumber(ARGV[6]) then return 'full' end
return 'ok'
"""

CANCEL = """
-- KEYS: episode, log, branches, ready, leases, wake
-- ARGV: episode, job, epoch, now (Unix seconds), then the branches
if redis.call('HGET', KEYS[1], 'state') ~= 'running' then return 'over' end
if redis.call('HGET', KEYS[3], ARGV[2] .. ':epoch') ~= ARGV[3] then return 'fenced' end
for i = 5, #ARGV do
  cancel_below(KEYS, ARGV[1], ARGV[i], ARGV[4])
  cancel_branch(KEYS, ARGV[1], ARGV[i], ARGV[4])
end
return 'ok'
"""

FINISH = """
-- KEYS: episode, log, branches, texts, ready, leases, live, ended, cleanup
-- ARGV: id, state, now, event, outcome ('' for none), ttl ms, job and its epoch ('' to cancel), call id,
--   pause before clean-up ms, the job's last seq ('' not to look)
if redis.call('HGET', KEYS[1], 'ended_by') == ARGV[9] then return 'ok' end  -- this very call, repeated
local state = redis.call('HGET', KEYS[1], 'state')
if state ~= 'queued' and state ~= 'running' then return 'over' end
if ARGV[7] ~= '' and redis.call('HGET', KEYS[3], ARGV[7] .. ':epoch') ~= ARGV[8] then return 'fenced' end
local last = tonumber(redis.call('HGET', KEYS[3], ARGV[7] .. ':seq') or -1)
if ARGV[11] ~= '' and tonumber(ARGV[11]) ~= last then return 'gap' end
redis.call('HSET', KEYS[1], 'state', ARGV[2], 'ended', ARGV[3], 'ended_by', ARGV[9])
if ARGV[5] ~= '' then redis.call('HSET', KEYS[1], 'outcome', ARGV[5]) end
redis.call('XADD', KEYS[2], '*', 'e', ARGV[4])
for _, field in ipairs(redis.call('HKEYS', KEYS[3])) do
  local branch = string.match(field, '^(.*):state$')
  if branch then
    redis.call('HINCRBY', KEYS[3], branch .. ':epoch', 1)
    redis.call('ZREM', KEYS[5], ARGV[1] .. '/' .. branch)
    redis.call('ZREM', KEYS[6], ARGV[1] .. '/' .. branch)
  end
end
redis.call('HINCRBY', KEYS[7], 'total', -1)
local adapter = redis.call('HGET', KEYS[1], 'adapter')
if adapter and adapter ~= '' and redis.call('HINCRBY', KEYS[7], 'adapter:' .. adapter, -1) <= 0 then
  redis.call('HDEL', KEYS[7], 'adapter:' .. adapter)
end
local tenant = redis.call('HGET', KEYS[1], 'tenant')
if tenant then redis.call('SREM', KEYS[7] .. ':' .. tenant, ARGV[1]) end
redis.call('SADD', KEYS[8], ARGV[1])
redis.call('ZADD', KEYS[9], now_ms() + tonumber(ARGV[10]), ARGV[1])
for i = 1, 4 do redis.call('PEXPIRE', KEYS[i], ARGV[6]) end
return 'ok'
"""
