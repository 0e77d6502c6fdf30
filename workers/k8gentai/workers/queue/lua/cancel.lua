-- Ends a turn as cancelled, whoever runs it. Returns the status it had, or who has answered it where it asked.
-- ARGV: id, last event, ended at (for RQ), seconds RQ keeps the job.
local id, event, ended, keep = unpack(ARGV)
local status, by = unpack(redis.call('HMGET', keys.turn .. id, 'status', 'answered'))
if status == 'suspended' and by then return {'answered', by} end
return {stop(id, 'cancelled', event, ended, keep)}
