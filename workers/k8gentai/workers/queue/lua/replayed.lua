-- Notes how many calls and effects the journal answered in the attempt that holds the turn.
-- Arguments:
--   id, attempt
--   models, tools, effects   how many of each
local turn = keys.turn .. args.id
local found = redis.call('HMGET', turn, 'attempt', 'status')
if found[1] ~= args.attempt or found[2] ~= 'running' then return 'fenced' end
redis.call('HSET', turn, 'models_replayed', args.models, 'tools_replayed', args.tools, 'effects_replayed', args.effects)
return 'ok'
