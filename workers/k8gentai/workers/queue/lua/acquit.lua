-- A worker lives that was not heard of, as it could not reach Redis: that it was lost is held against none of the turns
-- that it had, and counts as a hand-over.
-- ARGV: the arguments, then the ids of the turns.
-- Arguments:
--   worker
local worker = args.worker

-- Takes back that a turn ended the worker. Returns how often that was held against it.
local function absolve(turn)
  local causes, unheard = unpack(redis.call('HMGET', turn, 'causes', 'unheard'))
  unheard = unheard and cjson.decode(unheard) or {}
  local kept, left, times = {}, {}, 0
  for place, cause in ipairs(causes and cjson.decode(causes) or {}) do
    local of = unheard[tostring(place)]
    if of == worker then
      times = times + 1
    else
      kept[#kept + 1] = cause
      left[tostring(#kept)] = of
    end
  end
  if times > 0 then
    -- An empty table would be written as an object, or as a list.
    redis.call('HSET', turn, 'causes', #kept > 0 and cjson.encode(kept) or '[]', 'unheard',
      next(left) and cjson.encode(left) or '{}')
    redis.call('HINCRBY', turn, 'crashes', -times)
  end
  return times
end

-- Takes back that the worker was lost with the turn and others in it. Returns how often that was counted.
local function forget_shared(turn)
  local beside = redis.call('HGET', turn, 'unheard_beside')
  local left, times = {}, 0
  for _, of in ipairs(beside and cjson.decode(beside) or {}) do
    if of == worker then times = times + 1 else left[#left + 1] = of end
  end
  if times > 0 then
    redis.call('HSET', turn, 'unheard_beside', #left > 0 and cjson.encode(left) or '[]')
    redis.call('HINCRBY', turn, 'shared_crashes', -times)
  end
  return times
end

for i = 2, #ARGV do
  local turn = keys.turn .. ARGV[i]
  if redis.call('HGET', turn, 'suspect') == worker then redis.call('HDEL', turn, 'suspect', 'alone_seconds') end
  local times = absolve(turn) + forget_shared(turn)
  if times > 0 then redis.call('HINCRBY', turn, 'hand_overs', times) end
end
return 'ok'
