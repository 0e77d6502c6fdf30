-- Puts turns whose worker is gone back in the queue, and fails those that were tried often enough.
-- Any number of workers may run it at once. Returns what was done, as '{id} {what}'.
-- ARGV: framework, lease in seconds, crashes a turn survives, last event of one that has had them, ended at
--       (for RQ), seconds RQ keeps the job.
local framework, lease, crashes, event, ended, keep = unpack(ARGV)
local leases, done = keys.leases .. framework, {}
local intermediate = keys.rq_queue .. framework .. keys.rq_intermediate

-- Taken from the queue and not started: given one lease's time from when it is first seen here.
for _, id in ipairs(redis.call('LRANGE', intermediate, 0, 99)) do
  redis.call('ZADD', leases, 'NX', now() + lease, id .. ' taken')
end

for _, entry in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now(), 'LIMIT', 0, 100)) do
  local id, attempt = entry:match('^(%S+) (%S+)$')
  local turn = keys.turn .. id
  -- Out of memory Redis refuses this, and by that the whole, as it refuses the living to renew their leases.
  redis.call('ZADD', leases, 'XX', now(), entry)
  redis.call('ZREM', leases, entry)
  if attempt == 'taken' then
    if redis.call('LREM', intermediate, 1, id) == 1 and redis.call('HGET', turn, 'status') == 'queued' then
      push(id, framework, 'LPUSH')
      done[#done + 1] = id .. ' taken'
    end
  else
    local found = redis.call('HMGET', turn, 'status', 'attempt')
    if found[1] == 'running' and found[2] == attempt then
      if redis.call('HINCRBY', turn, 'crashes', 1) >= tonumber(crashes) then
        end_turn(id, 'failed', event, ended, keep)
        done[#done + 1] = id .. ' failed'
      else
        release(id, framework, attempt)
        set_status(turn, 'queued')
        push(id, framework, 'LPUSH')
        done[#done + 1] = id .. ' queued'
      end
    end
  end
end
return done
