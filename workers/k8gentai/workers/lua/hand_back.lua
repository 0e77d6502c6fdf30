-- A worker gives a turn back that did nothing wrong, to the front of the queue.
-- ARGV: id, attempt.
local id, attempt = unpack(ARGV)
local turn = keys.turn .. id
if not held(id, attempt) then return 'fenced' end
redis.call('HINCRBY', turn, 'hand_overs', 1)
requeue(id, redis.call('HGET', turn, 'framework'), attempt)
return 'ok'
