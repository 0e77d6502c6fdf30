-- Ends a turn as cancelled, whoever runs it. Returns the status it had.
-- ARGV: id, last event, ended at (for RQ), seconds RQ keeps the job.
local id, event, ended, keep = unpack(ARGV)
return stop(id, 'cancelled', event, ended, keep)
