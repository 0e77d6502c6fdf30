-- Ends a turn as cancelled, whoever runs it. Returns the status it had.
-- ARGV: id, last event, ended at (for RQ), seconds RQ keeps the job.
local id, event, ended, keep = unpack(ARGV)
local turn = keys.turn .. id
local found = redis.call('HMGET', turn, 'status', 'framework', 'worker')
local status, framework, worker = unpack(found)
if status == 'queued' then
  redis.call('LREM', keys.rq_queue .. framework, 1, id)
elseif status ~= 'running' then
  return status
end
end_turn(id, 'cancelled', event, ended, keep)
if status == 'running' then redis.call('PUBLISH', keys.worker .. worker, id) end
return status
