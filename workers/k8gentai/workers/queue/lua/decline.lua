-- A worker cannot run a turn, as it has not got the agent's code: others may. Where none is left that has not tried,
-- or none took the turn for a while, it fails.
-- ARGV: id, attempt, or '' where the worker declined the turn before and took it again, worker, last event of a turn
--       that nobody can run or '', seconds others have, ended at (for RQ), seconds RQ keeps the job.
-- Returns what became of the turn.
local id, attempt, worker, event, patience, ended, keep = unpack(ARGV)
local turn = keys.turn .. id
local framework = redis.call('HGET', turn, 'framework')
if attempt ~= '' and not held(id, attempt) then return 'fenced' end
if attempt == '' then
  if not framework then return 'fenced' end
  local taken = redis.call('LREM', keys.rq_queue .. framework .. keys.rq_intermediate, 1, id)
  redis.call('ZREM', keys.leases .. framework, id .. ' taken')
  if taken == 0 or redis.call('HGET', turn, 'status') ~= 'queued' then return 'fenced' end
else
  local declined = redis.call('HGET', turn, 'declined')
  redis.call('HSET', turn, 'declined', (declined and declined .. '\n' or '') .. worker, 'decline_event', event)
  redis.call('HSETNX', turn, 'declined_at', now())
end

local found = redis.call('HMGET', turn, 'declined', 'decline_event', 'declined_at')
local others = false
for _, key in ipairs(redis.call('SMEMBERS', keys.rq_workers .. framework)) do
  local name = key:sub(#keys.rq_worker + 1)
  others = others or not has_line(found[1], name) and redis.call('EXISTS', key) == 1
end
if not others or now() - (found[3] or 0) > tonumber(patience) then
  end_turn(id, 'failed', found[2], ended, keep)
  return 'failed'
end
if attempt ~= '' then requeue(id, framework, attempt) else push(id, framework, 'LPUSH') end
return 'queued'
