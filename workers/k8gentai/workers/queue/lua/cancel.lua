-- Ends a turn as cancelled, whoever runs it. Returns the status it had, or who has answered it where it asked.
-- Arguments:
--   id
--   event         its last
--   ended, keep   for RQ: the time now, and the seconds an ended job is kept
local status, by = unpack(redis.call('HMGET', keys.turn .. args.id, 'status', 'answered'))
if status == 'suspended' and by then return {'answered', by} end
return {stop(args.id, 'cancelled', args.event, args.ended, args.keep)}
