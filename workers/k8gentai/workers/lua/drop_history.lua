-- Drops the history of a turn that is settled.
-- ARGV: id, the turn's record without the history in it.
local id, accepted = unpack(ARGV)
local turn = keys.turn .. id
if not redis.call('HGET', turn, 'settled') then return end
redis.call('HDEL', turn, 'history')
redis.call('HSET', turn, 'accepted', accepted)
