-- A worker cannot run a turn, as it has not got the agent's code: others may. Where none is left that has not tried,
-- or none took the turn for a while, it fails.
-- Returns what became of the turn.
-- Arguments:
--   id
--   attempt       '' where the worker declined the turn before and took it again
--   worker
--   event         last event of a turn that nobody can run; '' where the worker declined it before
--   patience      seconds others have
--   ended, keep   for RQ: the time now, and the seconds an ended job is kept
local id, attempt = args.id, args.attempt
local turn = keys.turn .. id
local pool = pool_of(turn)
if attempt ~= '' and not held(id, attempt) then return 'fenced' end
if attempt == '' then
  if not pool then return 'fenced' end
  local taken = redis.call('LREM', keys.rq_queue .. pool .. keys.rq_intermediate, 1, id)
  redis.call('ZREM', keys.leases .. pool, id .. ' taken')
  if taken == 0 or redis.call('HGET', turn, 'status') ~= 'queued' then return 'fenced' end
else
  decline(turn, args.worker)
  redis.call('HSET', turn, 'decline_event', args.event)
  redis.call('HSETNX', turn, 'declined_at', now())
end

local found = redis.call('HMGET', turn, 'declined', 'decline_event', 'declined_at')
local others = false
for _, key in ipairs(redis.call('SMEMBERS', keys.rq_workers .. pool)) do
  local name = key:sub(#keys.rq_worker + 1)
  others = others or not has_line(found[1], name) and redis.call('EXISTS', key) == 1
end
if found[2] and (not others or now() - (found[3] or 0) > tonumber(args.patience)) then
  end_turn(id, 'failed', found[2], args.ended, args.keep)
  return 'failed'
end
if attempt ~= '' then requeue(id, pool, attempt) else push(id, pool, 'LPUSH') end
return 'queued'
