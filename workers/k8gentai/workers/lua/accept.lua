-- Keeps a turn and queues it, or writes nothing.
-- ARGV: id, accepted, history ('' where none was loaded), first event, framework, conversation or '',
--       version of the conversation's lane that the history belongs to, principal, accepted at, queue limit,
--       idempotency key or '', digest of the request, seconds the key is kept, the turn whose journal this one
--       takes over or '', whether to tell it anew ('1' or ''), then the RQ job's fields.
local id, accepted, history, event, framework, conversation = unpack(ARGV, 1, 6)
local version, principal, accepted_at, limit = unpack(ARGV, 7, 10)
local key, digest, key_seconds, continued, anew = unpack(ARGV, 11, 15)
local turn = keys.turn .. id
local lane = keys.lane .. conversation

if redis.call('EXISTS', turn) == 1 then return {'accepted', id} end
local idempotency = keys.idempotency .. principal .. ':' .. key
if key ~= '' then
  local seen = redis.call('HMGET', idempotency, 'turn', 'digest')
  if seen[1] and seen[2] ~= digest then return {'conflict', seen[1]} end
  if seen[1] then return {'accepted', seen[1]} end
end

if continued ~= '' and anew == '' then
  local found = redis.call('HMGET', keys.turn .. continued, 'status', 'answered')
  if found[1] ~= 'suspended' or found[2] then return {'answered', found[2] or ''} end
end

local waiting = redis.call('LLEN', keys.rq_queue .. framework)
local ahead = conversation ~= '' and redis.call('LLEN', lane) or 0
if math.max(waiting, ahead) >= tonumber(limit) then return {'full'} end
if ahead == 0 then
  local current = conversation ~= '' and redis.call('GET', lane .. keys.version) or '0'
  if history == '' or (current or '0') ~= version then return {'moved'} end
end

redis.call('HSET', turn, 'accepted', accepted, 'history', ahead == 0 and history or '[]', 'framework', framework,
  'conversation', conversation, 'principal', principal, 'status', 'queued', 'attempt', 0, 'crashes', 0, 'seq', 0)
append(turn, event)
redis.call('ZADD', keys.unsettled .. principal, accepted_at, id)
if continued ~= '' then take_over(id, continued, anew ~= '') end
redis.call('HSET', keys.rq_job .. id, unpack(ARGV, 16))
if key ~= '' then
  redis.call('HSET', idempotency, 'turn', id, 'digest', digest)
  redis.call('EXPIRE', idempotency, key_seconds)
end
if conversation ~= '' then redis.call('RPUSH', lane, id) end
if ahead == 0 then push(id, framework, 'RPUSH') end
return {'accepted', id}
