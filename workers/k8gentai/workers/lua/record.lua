-- Writes an entry of a turn's journal, for the attempt that holds the turn.
-- ARGV: id, attempt, key, value, bytes a journal may have.
local id, attempt, key, value, limit = unpack(ARGV)
local turn = keys.turn .. id
local found = redis.call('HMGET', turn, 'attempt', 'status')
if found[1] ~= attempt or found[2] ~= 'running' then return 'fenced' end
if redis.call('HINCRBY', turn, 'journal_bytes', #value) > tonumber(limit) then
  redis.call('HINCRBY', turn, 'journal_bytes', -#value)
  return 'full'
end
redis.call('HSET', turn .. keys.journal, key, value)
return 'ok'
