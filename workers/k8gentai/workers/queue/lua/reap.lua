-- Puts turns whose worker is gone back in the queue. Which of them ended it is found out: where its witness cannot say,
-- each is a suspect that is run alone, and one whose worker is lost while it is alone has done it. Only that counts
-- against a turn, and often enough fails it. Where Redis was lost as well, nothing is known. Any number of workers may
-- run this at once.
-- Returns what was done, as '{id} {what}'.
-- Arguments:
--   pool
--   lease         in seconds
--   crashes       how many a turn survives
--   only          'buried' where only the turns of workers known to be dead are to be looked at
--   patience      seconds the last crash of a turn waits for its cause: a witness on a busy machine is slow, and
--                 nothing runs the turn again
--   often         how often a turn is given back
--   event         last event of one that was so often
--   ended, keep   for RQ: the time now, and the seconds an ended job is kept
local pool, lease, crashes = args.pool, args.lease, args.crashes
local leases, done = keys.leases .. pool, {}
local intermediate = keys.rq_queue .. pool .. keys.rq_intermediate

-- A worker whose witness died with it leaves its name: a few are looked at each time. One that lives and that Redis
-- forgot writes it again.
for _, workers in ipairs({keys.rq_workers .. pool, keys.rq_all_workers}) do
  for _, key in ipairs(redis.call('SRANDMEMBER', workers, 10)) do
    if redis.call('EXISTS', key) == 0 then
      redis.call('SREM', keys.rq_workers .. pool, key)
      redis.call('SREM', keys.rq_all_workers, key)
    end
  end
end

-- Taken from the queue and not started: given one lease's time from when it is first seen here.
for _, id in ipairs(redis.call('LRANGE', intermediate, 0, 99)) do
  redis.call('ZADD', leases, 'NX', now() + lease, id .. ' taken')
end
local due = redis.call('ZRANGEBYSCORE', leases, '-inf', args.only == 'buried' and 0 or now())
if #due == 0 then return done end

local turns_of = {}
for _, entry in ipairs(redis.call('ZRANGE', leases, 0, -1)) do
  local id, attempt = entry:match('^(%S+) (%S+)$')
  local worker = attempt ~= 'taken' and redis.call('HGET', keys.turn .. id, 'worker')
  if worker then turns_of[worker] = (turns_of[worker] or 0) + 1 end
end

-- Whether a turn was the only one of its worker. Its neighbours may have been found before it.
local function alone(id, worker)
  local lost = keys.lost .. worker
  redis.call('SADD', lost, id)
  redis.call('EXPIRE', lost, math.ceil(3 * lease))
  return (turns_of[worker] or 1) == 1 and redis.call('SCARD', lost) == 1
end

local function noted(worker)
  local note = redis.call('GET', keys.dead .. worker)
  return note and cjson.decode(note) or {}
end

-- Whether it is not known how a worker ended, as Redis ended as well after the lease was last renewed: all was lost at
-- once, or its witness had nowhere to write.
local function lost_with_redis(turn, worker)
  if redis.call('EXISTS', keys.dead .. worker) == 1 then return false end
  local was, here = redis.call('HGET', turn, 'redis') or '', this_redis()
  return was ~= '' and here ~= '' and was ~= here
end

local function gave_up(causes, unheard)
  local same, died = true, true
  for i, worker in pairs(unheard) do causes[tonumber(i)] = noted(worker).cause or '' end
  for _, cause in ipairs(causes) do
    same = same and cause == causes[1]
    died = died and cause ~= ''
  end
  for i, cause in ipairs(causes) do causes[i] = cause == '' and 'was not heard of any more' or cause end
  local times = #causes == 1 and 'once and its worker ' or #causes .. ' times and each time its worker '
  local how = same and causes[1] .. (#causes > 1 and ' each time' or '') or table.concat(causes, ', then ')
  local what = times .. (died and 'died' or 'was lost')
  return cjson.encode({type = 'turn.failed', code = 'worker_lost',
    message = 'the turn was tried ' .. what .. ": its process " .. how .. "; see the workers' logs"})
end

-- Marks a turn that may have ended its worker, with how long it had run, at the longest: it is alone for about as long.
local function mark(turn, worker)
  local begun, before = unpack(redis.call('HMGET', turn, 'attempted_at', 'alone_seconds'))
  local ran = math.max(begun and now() - begun or 0, tonumber(before or 0))
  redis.call('HSET', turn, 'suspect', worker, 'alone_seconds', ran)
end

-- The turn ended its worker. Returns the last event of one that has done so often enough.
local function convict(turn, worker, note)
  local suspected, causes, unheard = unpack(redis.call('HMGET', turn, 'suspect', 'causes', 'unheard'))
  if suspected then redis.call('SET', keys.solved .. suspected, 1, 'EX', 86400) end
  causes = causes and cjson.decode(causes) or {}
  causes[#causes + 1] = note.cause or ''
  -- Whose witness may yet speak, by the place of the cause.
  unheard = unheard and cjson.decode(unheard) or {}
  if not note.cause then unheard[tostring(#causes)] = worker end
  mark(turn, worker)
  redis.call('HSET', turn, 'causes', cjson.encode(causes), 'unheard', cjson.encode(unheard))
  if redis.call('HINCRBY', turn, 'crashes', 1) >= tonumber(crashes) then return gave_up(causes, unheard) end
end

-- Whether a turn that was alone would be given up now, and the cause may yet be noted.
local function waits(turn, worker, since)
  local crashed = redis.call('HGET', turn, 'crashes') or 0
  if crashed + 1 < tonumber(crashes) or now() > since + args.patience then return false end
  return redis.call('EXISTS', keys.dead .. worker) == 0 and not lost_with_redis(turn, worker)
end

-- Its worker died beside it. A process that was killed from outside is no sign against its turns, twice may be one.
local function suspect(turn, worker, note)
  local shared = redis.call('HINCRBY', turn, 'shared_crashes', 1)
  if not note.cause then
    local beside = redis.call('HGET', turn, 'unheard_beside')
    beside = beside and cjson.decode(beside) or {}
    beside[#beside + 1] = worker
    redis.call('HSET', turn, 'unheard_beside', cjson.encode(beside))
  end
  local known = note.turn and note.turn ~= ''
  if not known and (note.own or shared > 1) then mark(turn, worker) end
end

local function lost(id, turn, worker, was_alone)
  local note = noted(worker)
  if note.told or note.ours or lost_with_redis(turn, worker) then
    return handed_over(turn, args.often) and args.event
  end
  if note.turn == id or was_alone and (note.turn or '') == '' then return convict(turn, worker, note) end
  suspect(turn, worker, note)
end

for _, entry in ipairs(due) do
  local id, attempt = entry:match('^(%S+) (%S+)$')
  local turn, since = keys.turn .. id, redis.call('ZSCORE', leases, entry)
  -- Out of memory Redis refuses this, and by that the whole, as it refuses the living to renew their leases.
  redis.call('ZADD', leases, 'XX', since, entry)
  local is_held = attempt ~= 'taken' and held(id, attempt)
  local worker = is_held and redis.call('HGET', turn, 'worker')
  -- Seen at once, and each time: the neighbours are not known for as long as a turn may wait.
  local was_alone = is_held and alone(id, worker)
  local waiting = was_alone and waits(turn, worker, since)
  if not waiting then redis.call('ZREM', leases, entry) end
  if attempt == 'taken' then
    if redis.call('LREM', intermediate, 1, id) == 1 and redis.call('HGET', turn, 'status') == 'queued' then
      push(id, pool, 'LPUSH')
      done[#done + 1] = id .. ' taken'
    end
  elseif is_held and not waiting then
    local event = lost(id, turn, worker, was_alone)
    if event then
      end_turn(id, 'failed', event, args.ended, args.keep)
    else
      requeue(id, pool, attempt)
    end
    done[#done + 1] = id .. (event and ' failed' or ' queued')
  end
end
return done
