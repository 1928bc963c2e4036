"""Every write that must be one: Lua, run by Redis.

ARGV and KEYS are named at the top of each script. A refused write answers a plain word; the store
turns it into an error.
"""

CREATE = """
-- KEYS: episode, log, index, live, idempotency
-- ARGV: id, created, spec, event, request digest, idempotency ttl ms, max live
if redis.call('EXISTS', KEYS[1]) == 1 then return {'created', ARGV[1]} end  -- this very call, repeated
if ARGV[6] ~= '0' then
  local known = redis.call('HMGET', KEYS[5], 'id', 'digest')
  if known[1] then
    if known[2] ~= ARGV[5] then return {'conflict', known[1]} end
    return {'known', known[1]}
  end
end
if redis.call('SCARD', KEYS[4]) >= tonumber(ARGV[7]) then return {'full', ''} end
if ARGV[6] ~= '0' then
  redis.call('HSET', KEYS[5], 'id', ARGV[1], 'digest', ARGV[5])
  redis.call('PEXPIRE', KEYS[5], ARGV[6])
end
redis.call('HSET', KEYS[1], 'state', 'queued', 'created', ARGV[2], 'spec', ARGV[3])
redis.call('HSET', KEYS[1], 'events', 1, 'bytes', #ARGV[4])
redis.call('XADD', KEYS[2], '*', 'e', ARGV[4])
redis.call('ZADD', KEYS[3], 0, ARGV[1])  -- ids sort by time
redis.call('SADD', KEYS[4], ARGV[1])
return {'created', ARGV[1]}
"""

TAKE = """
-- KEYS: episode, log, epochs
-- ARGV: branch, now, started event
local state = redis.call('HGET', KEYS[1], 'state')
if state ~= 'queued' and state ~= 'running' then return 'over' end
if state == 'queued' then
  redis.call('HSET', KEYS[1], 'state', 'running', 'started', ARGV[2])
  redis.call('XADD', KEYS[2], '*', 'e', ARGV[3])
end
local below = ARGV[1] .. '.'
for _, branch in ipairs(redis.call('HKEYS', KEYS[3])) do
  if string.sub(branch, 1, #below) == below then redis.call('HINCRBY', KEYS[3], branch, 1) end
end
return redis.call('HINCRBY', KEYS[3], ARGV[1], 1)
"""

APPEND = """
-- KEYS: episode, log, epochs
-- ARGV: max events, max bytes, batch id, then branch, epoch, event for each
if redis.call('HGET', KEYS[1], 'batch') == ARGV[3] then return 'ok' end  -- this very batch, repeated
if redis.call('HGET', KEYS[1], 'state') ~= 'running' then return 'over' end
local bytes, count = 0, 0
for i = 4, #ARGV, 3 do
  if redis.call('HGET', KEYS[3], ARGV[i]) ~= ARGV[i + 1] then return 'fenced' end
  bytes = bytes + #ARGV[i + 2]
  count = count + 1
end
if redis.call('HINCRBY', KEYS[1], 'events', count) > tonumber(ARGV[1]) then return 'limit' end
if redis.call('HINCRBY', KEYS[1], 'bytes', bytes) > tonumber(ARGV[2]) then return 'limit' end
for i = 4, #ARGV, 3 do redis.call('XADD', KEYS[2], '*', 'e', ARGV[i + 2]) end
redis.call('HSET', KEYS[1], 'batch', ARGV[3])
return 'ok'
"""

FINISH = """
-- KEYS: episode, log, epochs, live, cleanup
-- ARGV: id, state, now, event, outcome field, outcome, ttl ms, root branch, root epoch ('' to cancel),
--   call id
if redis.call('HGET', KEYS[1], 'ended_by') == ARGV[10] then return 'ok' end  -- this very call, repeated
local state = redis.call('HGET', KEYS[1], 'state')
if state ~= 'queued' and state ~= 'running' then return 'over' end
if ARGV[9] ~= '' and redis.call('HGET', KEYS[3], ARGV[8]) ~= ARGV[9] then return 'fenced' end
redis.call('HSET', KEYS[1], 'state', ARGV[2], 'ended', ARGV[3], 'ended_by', ARGV[10])
if ARGV[5] ~= '' then redis.call('HSET', KEYS[1], ARGV[5], ARGV[6]) end
redis.call('XADD', KEYS[2], '*', 'e', ARGV[4])
for _, branch in ipairs(redis.call('HKEYS', KEYS[3])) do redis.call('HINCRBY', KEYS[3], branch, 1) end
redis.call('SREM', KEYS[4], ARGV[1])
redis.call('SADD', KEYS[5], ARGV[1])
for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], ARGV[7]) end
return 'ok'
"""
