-- A worker took the turn from the queue: gives it the lease and the next attempt's number, which is the fence.
-- ARGV: id, framework, worker, lease in seconds, started at (for RQ), seconds RQ's entry may stand, and what tells
--       this taking from any other: a worker may take a turn twice, where it was put back into the queue while Redis
--       was away.
local id, framework, worker, lease, started, far, taking = unpack(ARGV)
local turn = keys.turn .. id
redis.call('LREM', keys.rq_queue .. framework .. keys.rq_intermediate, 1, id)
redis.call('ZREM', keys.leases .. framework, id .. ' taken')
local status, taken, attempt = unpack(redis.call('HMGET', turn, 'status', 'taking', 'attempt'))
if not status then return {'unknown'} end
if status == 'running' and taken == taking then
  -- Sent again, because the answer to the first sending was lost.
  return {'started', tonumber(attempt), unpack(redis.call('HMGET', turn, 'seq', 'accepted', 'history'))}
end
if status ~= 'queued' then return {status} end

attempt = redis.call('HINCRBY', turn, 'attempt', 1)
set_status(turn, 'running')
redis.call('HSET', turn, 'worker', worker, 'taking', taking)
redis.call('HSETNX', turn, 'started_at', now())
redis.call('ZADD', keys.leases .. framework, now() + lease, id .. ' ' .. attempt)
-- Far off, because whoever counts this registry makes RQ fail what is past its time; our leases decide that.
redis.call('ZADD', keys.rq_started .. framework, now() + far, id .. ':' .. attempt)
redis.call('HSET', keys.rq_job .. id, 'status', 'started', 'started_at', started, 'worker_name', worker)
return {'started', attempt, unpack(redis.call('HMGET', turn, 'seq', 'accepted', 'history'))}
