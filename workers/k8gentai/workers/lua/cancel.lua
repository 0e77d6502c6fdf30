-- Ends a turn as cancelled, whoever runs it. Returns the status it had, or who has answered it where it asked.
-- ARGV: id, last event, ended at (for RQ), seconds RQ keeps the job.
local id, event, ended, keep = unpack(ARGV)
local by = redis.call('HGET', keys.turn .. id, 'answered')
if by then return {'answered', by} end
return {stop(id, 'cancelled', event, ended, keep)}
