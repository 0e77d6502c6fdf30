-- Forgets a turn, and the turns that its tool calls asked for. One that is queued, runs, or waits for a person is ended.
-- Returns the ids of all of them; none where there is no such turn.
-- Arguments:
--   id
--   event         its last
--   ended, keep   for RQ: the time now, and the seconds an ended job is kept
local gone = {}

local function forget(which)
  local turn = keys.turn .. which
  local found = redis.call('HMGET', turn, 'status', 'settled', 'deleted')
  if not found[1] or found[3] then return end
  gone[#gone + 1] = which
  -- One that has not begun may give back what it took over.
  if not found[2] then stop(which, 'cancelled', args.event, args.ended, args.keep) end
  local children = redis.call('SMEMBERS', turn .. keys.children)
  if found[2] then
    redis.call('DEL', turn, turn .. keys.events, turn .. keys.journal, turn .. keys.before, turn .. keys.children)
  else
    -- Settling still has to let the conversation's next turn go.
    redis.call('HSET', turn, 'deleted', 1)
  end
  for _, child in ipairs(children) do forget(child) end
end

forget(args.id)
return gone
