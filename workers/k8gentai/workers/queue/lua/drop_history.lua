-- Drops the history of a turn that is settled.
-- ARGV: id, the turn's record without the history in it.
local id, accepted = unpack(ARGV)
local turn = keys.turn .. id
if not redis.call('HGET', turn, 'settled') then return end
-- Empty, not gone: older servers read the field.
redis.call('HSET', turn, 'history', '[]', 'accepted', accepted)
