-- A worker lives that was not heard of, as it could not reach Redis: that it was lost is held against none of the turns
-- that it had, and counts as a hand-over.
-- ARGV: the arguments, then the ids of the turns.
-- Arguments:
--   worker
local worker = args.worker
for i = 2, #ARGV do
  local turn = keys.turn .. ARGV[i]
  local suspected, causes, unheard = unpack(redis.call('HMGET', turn, 'suspect', 'causes', 'unheard'))
  if suspected == worker then redis.call('HDEL', turn, 'suspect', 'alone_seconds') end
  local left, gone = {}, nil
  for place, of in pairs(unheard and cjson.decode(unheard) or {}) do
    if of == worker then gone = tonumber(place) else left[tonumber(place)] = of end
  end
  if gone then
    causes = cjson.decode(causes)
    table.remove(causes, gone)
    unheard = {}
    for place, of in pairs(left) do unheard[tostring(place > gone and place - 1 or place)] = of end
    -- An empty table would be written as a list.
    redis.call('HSET', turn, 'causes', #causes > 0 and cjson.encode(causes) or '[]', 'unheard',
      next(unheard) and cjson.encode(unheard) or '{}')
    redis.call('HINCRBY', turn, 'crashes', -1)
    redis.call('HINCRBY', turn, 'hand_overs', 1)
  end
end
return 'ok'
