-- A script's arguments by their names. Every value is a string, '' where there is none: Lua would round the times.
-- What is large comes behind them in ARGV, as it is.
local args = cjson.decode(ARGV[1])

local function now()
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1000000
end

-- Names this process of Redis: one that was started again, or that took over, has another name. Empty where the user
-- may not ask.
local function this_redis()
  local info = redis.pcall('INFO', 'server')
  return type(info) == 'string' and info:match('run_id:(%w+)') or ''
end

-- Appends an event; of a turn's last one, the time stands beside it. `e` comes first, as earlier releases take the
-- first value of an entry for the event.
local function append(turn, event, at)
  local seq = redis.call('HINCRBY', turn, 'seq', 1)
  if at then
    redis.call('XADD', turn .. keys.events, seq .. '-0', 'e', event, 'v', versions.event, 'at', at)
  else
    redis.call('XADD', turn .. keys.events, seq .. '-0', 'e', event, 'v', versions.event)
  end
  -- To those who follow the turn; they read the event from the stream.
  redis.call('PUBLISH', turn .. keys.events, seq)
end

-- Every change of a turn's status goes through here, so that the count of those that wait is exact.
local function set_status(turn, status)
  local found = redis.call('HMGET', turn, 'status', 'agent')
  redis.call('HSET', turn, 'status', status)
  local change = (status == 'queued' and 1 or 0) - (found[1] == 'queued' and 1 or 0)
  if change == 0 then return end
  for _, field in ipairs({keys.all_agents, found[2]}) do
    if redis.call('HINCRBY', keys.waiting, field, change) == 0 then redis.call('HDEL', keys.waiting, field) end
  end
end

-- The pool whose workers run a turn. Servers of the release before name the field `framework`.
local function pool_of(turn)
  return redis.call('HGET', turn, 'pool') or redis.call('HGET', turn, 'framework')
end

local registries = {
  completed = {keys.rq_finished, 'finished'},
  incomplete = {keys.rq_finished, 'finished'},
  suspended = {keys.rq_finished, 'finished'},
  failed = {keys.rq_failed, 'failed'},
  cancelled = {keys.rq_canceled, 'canceled'},
}

-- Takes the turn out of what runs: its lease, and RQ's registry of started jobs.
local function release(id, pool, attempt)
  redis.call('ZREM', keys.leases .. pool, id .. ' ' .. attempt)
  redis.call('ZREM', keys.rq_started .. pool, id .. ':' .. attempt)
end

-- Whether an attempt is the one that runs the turn.
local function held(id, attempt)
  local found = redis.call('HMGET', keys.turn .. id, 'attempt', 'status')
  return found[1] == attempt and found[2] == 'running'
end

-- The turn came further than where it broke off.
local function went_on(turn)
  redis.call('HDEL', turn, 'broke_off_at', 'broke_off_for', 'breaks_in_a_row')
end

-- Counts that a turn is given back which did nothing wrong. Returns whether that was once too often.
local function handed_over(turn, often)
  return redis.call('HINCRBY', turn, 'hand_overs', 1) >= tonumber(often)
end

-- Whether a list of names, a line each, has one.
local function has_line(list, name)
  return list and ('\n' .. list .. '\n'):find('\n' .. name .. '\n', 1, true) ~= nil
end

-- Keeps a turn from a worker that cannot run it.
local function decline(turn, worker)
  local declined = redis.call('HGET', turn, 'declined')
  redis.call('HSET', turn, 'declined', (declined and declined .. '\n' or '') .. worker)
end

-- Whether a turn has asked a person, and nobody has answered.
local function waits(id)
  local found = redis.call('HMGET', keys.turn .. id, 'status', 'answered')
  return found[1] == 'suspended' and not found[2]
end

-- Sets an end to all that is kept of a turn, and to the idempotency key that leads to it.
local function expire(turn, seconds)
  local key = redis.call('HGET', turn, 'idempotency')
  if key then redis.call('EXPIRE', key, seconds) end
  for _, part in ipairs({'', keys.events, keys.journal, keys.before, keys.children}) do
    redis.call('EXPIRE', turn .. part, seconds)
  end
end

-- Gives the turns that wait for a person, and that tool calls of one turn asked for, to another turn.
local function hand_children(from, to)
  for _, child in ipairs(redis.call('SMEMBERS', from .. keys.children)) do
    if waits(child) then redis.call('SMOVE', from .. keys.children, to .. keys.children, child) end
  end
end

-- Has a turn wait its whole time anew, and what it waits for itself: whoever asked for it may go on later than it
-- would have waited, and asks the same again.
local function wait_anew(id, keep)
  local turn = keys.turn .. id
  local found = redis.call('HMGET', turn, 'wait_seconds', 'expires_at', 'ended_at', 'keep', 'settled')
  local seconds, settled = found[1] or math.max(0, found[2] - found[3]), found[5]
  keep = found[4] or keep
  redis.call('HSET', turn, 'wait_seconds', seconds, 'expires_at', now() + seconds)
  if settled then expire(turn, math.ceil(seconds + keep)) end
  for _, child in ipairs(redis.call('SMEMBERS', turn .. keys.children)) do
    if waits(child) then wait_anew(child, keep) end
  end
end

local stop

-- Ends what the turn's tool calls asked for and it did not wait for. What waits for a person is found again where
-- the turn goes on or is run again.
local function stop_children(turn, status, ended, keep)
  local goes_on = status == 'suspended' or status == 'failed'
  for _, child in ipairs(redis.call('SMEMBERS', turn .. keys.children)) do
    if goes_on and waits(child) then
      wait_anew(child, keep)
    else
      stop(child, 'cancelled', events.cancelled, ended, keep)
    end
  end
end

-- The turn's last write: its last event, its status, and the word to the servers that it is to be settled. What its
-- tool calls asked for and did not wait for ends with it.
local function end_turn(id, status, event, ended, keep)
  local turn = keys.turn .. id
  local found = redis.call('HMGET', turn, 'attempt', 'keep', 'status', 'settled')
  local pool, attempt, waited, settled = pool_of(turn), found[1], found[3] == 'suspended', found[4]
  -- What the server that accepted it says; a turn of an older one does not have it.
  keep = found[2] or keep
  local at = now()
  append(turn, event, at)
  set_status(turn, status)
  redis.call('HSET', turn, 'ended_at', at)
  if status == 'suspended' then redis.call('HSET', turn, 'expires_at', cjson.decode(event).expires_at) end
  release(id, pool, attempt)
  redis.call('HSET', keys.rq_job .. id, 'status', registries[status][2], 'ended_at', ended)
  redis.call('EXPIRE', keys.rq_job .. id, keep)
  local registry = registries[status][1] .. pool
  redis.call('ZADD', registry, now() + keep, id)
  redis.call('ZREMRANGEBYSCORE', registry, '-inf', now())
  if waited then
    redis.call('ZREM', registries.suspended[1] .. pool, id)
    redis.call('HDEL', turn, 'settled', 'expires_at')
  end
  -- One that waited and is not settled yet is in the stream.
  if settled or not waited then redis.call('XADD', keys.finished, '*', 'turn', id) end
  stop_children(turn, status, ended, keep)
end

-- A turn that was to run a failed one again ends before it did anything: that may be run again by another.
local function give_back(id, failed)
  local turn, of = keys.turn .. id, keys.turn .. failed
  if redis.call('HGET', of, 'answered') ~= id then return end
  redis.call('HDEL', of, 'answered')
  hand_children(turn, of)
  local left = redis.call('TTL', of)
  if left > 0 then redis.call('EXPIRE', of .. keys.children, left) end
end

-- Ends a turn that is queued, runs, or waits for a person, whoever runs it, and leaves any other as it is. Returns the
-- status it had.
stop = function(id, status, event, ended, keep)
  local turn = keys.turn .. id
  local found = redis.call('HMGET', turn, 'status', 'worker', 'attempt', 'retries')
  local was, worker, attempt, retried = unpack(found, 1, 4)
  if was == 'queued' then
    redis.call('LREM', keys.rq_queue .. pool_of(turn), 1, id)
    if attempt == '0' and retried then give_back(id, retried) end
  elseif was ~= 'running' and not waits(id) then
    return was
  end
  end_turn(id, status, event, ended, keep)
  if was == 'running' then redis.call('PUBLISH', keys.worker .. worker, id) end
  return was
end

-- Gives a running turn back, to the front of the queue.
local function requeue(id, pool, attempt)
  release(id, pool, attempt)
  set_status(keys.turn .. id, 'queued')
  push(id, pool, 'LPUSH')
end

-- Gives a running turn back to be queued after a pause: it stands as one that a worker took and never began, which is
-- put back when its time is over.
local function requeue_later(id, pool, attempt, seconds)
  release(id, pool, attempt)
  set_status(keys.turn .. id, 'queued')
  redis.call('HSET', keys.rq_job .. id, 'status', 'queued')
  redis.call('RPUSH', keys.rq_queue .. pool .. keys.rq_intermediate, id)
  redis.call('ZADD', keys.leases .. pool, now() + seconds, id .. ' taken')
end

-- Gives a turn what another one recorded, and what was told before it. Of a turn told anew that one's own events
-- do not count as told.
local function take_over(id, other, anew, keep)
  local turn, of = keys.turn .. id, keys.turn .. other
  redis.call('COPY', of .. keys.journal, turn .. keys.journal)
  redis.call('PERSIST', turn .. keys.journal)
  redis.call('HSET', turn, 'journal_bytes', redis.call('HGET', of, 'journal_bytes') or 0)
  redis.call('HSET', turn, 'recorded', redis.call('HGET', of, 'recorded') or 0)
  redis.call('COPY', of .. keys.before, turn .. keys.before)
  redis.call('PERSIST', turn .. keys.before)
  redis.call('HSET', of, 'answered', id)
  hand_children(of, turn)
  if anew then
    redis.call('HSET', turn, 'retries', other)
    return
  end
  -- It was kept for as long as it waited.
  if redis.call('HGET', of, 'settled') then expire(of, keep) end
  for _, entry in ipairs(redis.call('XRANGE', of .. keys.events, '-', '+')) do
    redis.call('RPUSH', turn .. keys.before, entry[2][2])
  end
end
