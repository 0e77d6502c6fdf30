-- A worker took the turn from the queue: gives it the lease and the next attempt's number, which is the fence. One whose
-- agent the worker does not serve has not begun, and waits for another.
-- Arguments:
--   id            what it took
--   pool, worker
--   only          the agents that the worker serves, an id a line; '' for all of its pool
--   lease         in seconds
--   started       for RQ: the time now
--   far           seconds RQ's entry may stand
--   taking        tells this taking from any other: a worker may take a turn twice, where it was put back into the
--                 queue while Redis was away
local pool, worker, taking = args.pool, args.worker, args.taking
local id = chosen(pool, args.id)
local turn = keys.turn .. id
local found = redis.call('HMGET', turn, 'status', 'taking', 'attempt', 'declined', 'agent')
local status, taken, attempt, declined, agent = unpack(found, 1, 5)
-- It stays taken, for the worker to put it back where others find it.
if status == 'queued' and has_line(declined, worker) then return {'declined'} end
redis.call('LREM', keys.rq_queue .. pool .. keys.rq_intermediate, 1, id)
redis.call('ZREM', keys.leases .. pool, id .. ' taken')
if not status then return {'unknown'} end
local function begun(number)
  local found = redis.call('HMGET', turn, 'seq', 'accepted', 'history', 'suspect', 'breaks_in_a_row', 'alone_seconds')
  local suspect = found[4] and redis.call('EXISTS', keys.solved .. found[4]) == 0
  return {'started', tonumber(number), found[1], found[2], found[3], suspect and 1 or 0, tonumber(found[5] or 0),
    tostring(now()), found[6] or '0', id}
end
-- Sent again, because the answer to the first sending was lost.
if status == 'running' and taken == taking then return begun(attempt) end
if status ~= 'queued' then return {status} end
if args.only ~= '' and not has_line(args.only, agent) then
  decline(turn, worker)
  push(id, pool, 'LPUSH')
  return {'not_served'}
end

attempt = redis.call('HINCRBY', turn, 'attempt', 1)
set_status(turn, 'running')
redis.call('HSET', turn, 'worker', worker, 'taking', taking, 'attempted_at', now(), 'redis', this_redis())
redis.call('HSETNX', turn, 'started_at', now())
redis.call('ZADD', keys.leases .. pool, now() + args.lease, id .. ' ' .. attempt)
-- Far off, because whoever counts this registry makes RQ fail what is past its time; our leases decide that.
redis.call('ZADD', keys.rq_started .. pool, now() + args.far, id .. ':' .. attempt)
redis.call('HSET', keys.rq_job .. id, 'status', 'started', 'started_at', args.started, 'worker_name', worker)
return begun(attempt)
