-- Drops the history of a turn that is settled.
-- ARGV: the arguments, the turn's record without the history in it.
-- Arguments: id
local turn = keys.turn .. args.id
if not redis.call('HGET', turn, 'settled') then return end
-- Empty, not gone: older servers read the field.
redis.call('HSET', turn, 'history', '[]', 'accepted', ARGV[2])
