-- Notes how many calls and effects the journal answered in the attempt that holds the turn.
-- ARGV: id, attempt, model calls, tool calls, effects beside them.
local id, attempt, models, tools, effects = unpack(ARGV)
local turn = keys.turn .. id
local found = redis.call('HMGET', turn, 'attempt', 'status')
if found[1] ~= attempt or found[2] ~= 'running' then return 'fenced' end
redis.call('HSET', turn, 'models_replayed', models, 'tools_replayed', tools, 'effects_replayed', effects)
return 'ok'
