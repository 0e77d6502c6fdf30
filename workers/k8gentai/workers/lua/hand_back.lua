-- A stopping worker gives a turn back, to the front of the queue and without counting it as a crash.
-- ARGV: id, attempt.
local id, attempt = unpack(ARGV)
local turn = keys.turn .. id
local found = redis.call('HMGET', turn, 'attempt', 'status', 'framework')
if found[1] ~= attempt or found[2] ~= 'running' then return 'fenced' end
release(id, found[3], attempt)
set_status(turn, 'queued')
push(id, found[3], 'LPUSH')
return 'ok'
