-- Keeps a turn and queues it, or writes nothing.
-- ARGV: the arguments, the turn's record, its history ('' where none was loaded), its first event, then the RQ job's
--       fields.
-- Arguments:
--   id, agent, pool, conversation, principal
--   version       of the conversation's lane that the history belongs to
--   strategy      what becomes of the turns ahead in the conversation: enqueue, reject, interrupt or rollback
--   ending        the last event of those that are interrupted or rolled back
--   limit, agent_limit   how many turns may wait, of all agents and of this one
--   key           idempotency key
--   try           which try of one request an SDK says this is, from 0
--   try_seconds   how long after one try the next may come
--   continued     the turn whose journal this one takes over
--   anew          whether what that turn told is told again
--   parent        the turn whose tool call asks for this one
--   digest        of the request's body
--   ended, keep   for RQ: the time now, and the seconds an ended job is kept
local accepted, history, event = unpack(ARGV, 2, 4)
local id, conversation = args.id, args.conversation
local turn = keys.turn .. id
local lane = keys.lane .. conversation
-- What stands between a principal and what follows is no part of either.
local owner = args.principal:gsub('[%%:]', {['%'] = '%25', [':'] = '%3A'})
local idempotency = keys.idempotency .. owner .. ':' .. args.key
local retried = keys.retried .. owner .. ':' .. args.digest
-- A key says by itself which requests are one.
local try = args.key == '' and tonumber(args.try)

-- The turn that this very request has already brought, if any.
local function known()
  if redis.call('EXISTS', turn) == 1 then return {'accepted', id} end
  if args.key ~= '' then
    local seen = redis.call('HMGET', idempotency, 'turn', 'digest')
    if seen[1] and seen[2] ~= args.digest then return {'conflict', seen[1]} end
    if seen[1] then return {'accepted', seen[1]} end
  elseif try and try > 0 then
    local seen = redis.call('HMGET', retried, 'turn', 'try')
    local kept = seen[1] and redis.call('HMGET', keys.turn .. seen[1], 'status', 'deleted')
    if kept and kept[1] and not kept[2] and tonumber(seen[2]) < try then
      redis.call('HSET', retried, 'try', try)
      redis.call('EXPIRE', retried, args.try_seconds)
      return {'accepted', seen[1]}
    end
  end
end

-- The conversation's turns that wait or run. Those that have ended stay in the lane until they are settled.
local function under_way()
  local found = {}
  if conversation == '' or args.strategy == 'enqueue' then return found end
  for _, other in ipairs(redis.call('LRANGE', lane, 0, -1)) do
    local status, agent, principal = unpack(redis.call('HMGET', keys.turn .. other, 'status', 'agent', 'principal'))
    if status == 'queued' or status == 'running' then
      found[#found + 1] = {id = other, waits = status == 'queued', agent = agent, principal = principal}
    end
  end
  return found
end

-- A turn that the new one may not end, if there is one: nobody ends the turns of others.
local function in_the_way(ending)
  for _, other in ipairs(ending) do
    if args.strategy == 'reject' or other.principal ~= args.principal then return other.id end
  end
end

-- Whose queue is full, if one is; the turns that are to be ended make room.
local function full(ending)
  local all, of_agent = unpack(redis.call('HMGET', keys.waiting, keys.all_agents, args.agent))
  all, of_agent = tonumber(all or 0), tonumber(of_agent or 0)
  for _, other in ipairs(ending) do
    if other.waits then all = all - 1 end
    if other.waits and other.agent == args.agent then of_agent = of_agent - 1 end
  end
  if args.agent_limit ~= '' and of_agent >= tonumber(args.agent_limit) then return 'agent' end
  if all >= tonumber(args.limit) then return 'all' end
end

-- Ends the turns ahead: the interrupted join the conversation as far as they came, the others are forgotten.
local function give_way(ending)
  local status = args.strategy == 'interrupt' and 'incomplete' or 'cancelled'
  for _, other in ipairs(ending) do
    stop(other.id, status, args.ending, args.ended, args.keep)
    if args.strategy == 'rollback' then redis.call('HSET', keys.turn .. other.id, 'deleted', 1) end
  end
end

local function remember()
  if args.key ~= '' then
    redis.call('HSET', idempotency, 'turn', id, 'digest', args.digest)
    -- It leads to the turn for as long as that is there. A server of an older version, which may settle the turn,
    -- sets no end to it: longer than a turn may wait.
    redis.call('EXPIRE', idempotency, args.keep + 31 * 86400)
    redis.call('HSET', turn, 'idempotency', idempotency)
  elseif try then
    redis.call('HSET', retried, 'turn', id, 'try', try)
    redis.call('EXPIRE', retried, args.try_seconds)
  end
end

-- The turn that took over the journal of the suspended or failed one before, or '' where that turn can have no other
-- after it; nil where all is well. What two of them had still to call would be called twice.
local function answered()
  if args.continued == '' then return end
  local wanted = args.anew == '' and 'suspended' or 'failed'
  local found = redis.call('HMGET', keys.turn .. args.continued, 'status', 'answered')
  if found[1] ~= wanted or found[2] then return found[2] or '' end
end

local before = known()
if before then return before end
if args.parent ~= '' and redis.call('HGET', keys.turn .. args.parent, 'status') ~= 'running' then
  return {'orphaned'}
end
local by = answered()
if by then return {'answered', by} end
local ending = under_way()
local busy = in_the_way(ending)
if busy then return {'busy', busy} end
local whose = full(ending)
if whose then
  -- What the client sends again was never a turn: it must not be taken for a try of an equal args.
  if try then redis.call('DEL', retried) end
  return {'full', whose}
end
local ahead = conversation ~= '' and redis.call('LLEN', lane) or 0
if ahead == 0 then
  local current = conversation ~= '' and redis.call('GET', lane .. keys.version) or '0'
  if history == '' or (current or '0') ~= args.version then return {'moved'} end
end

give_way(ending)
redis.call('SET', keys.kept_since, now(), 'NX')
-- The pool under both its names: scripts of the release before read `framework`.
redis.call('HSET', turn, 'accepted', accepted, 'history', ahead == 0 and history or '[]', 'agent', args.agent,
  'pool', args.pool, 'framework', args.pool, 'accepted_at', now(), 'conversation', conversation,
  'principal', args.principal, 'attempt', 0, 'crashes', 0, 'seq', 0, 'keep', args.keep)
set_status(turn, 'queued')
append(turn, event)
redis.call('ZADD', keys.unsettled .. args.principal, now(), id)
if args.parent ~= '' then redis.call('SADD', keys.turn .. args.parent .. keys.children, id) end
if args.continued ~= '' then take_over(id, args.continued, args.anew ~= '', args.keep) end
redis.call('HSET', keys.rq_job .. id, unpack(ARGV, 5))
remember()
if conversation ~= '' then redis.call('RPUSH', lane, id) end
if ahead == 0 then push(id, args.pool, 'RPUSH') end
return {'accepted', id}
