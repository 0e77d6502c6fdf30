-- An attempt broke off by something that its agent did not do: the turn is tried again, from the front of the queue,
-- for as long and as often as it may. Both count from the last call that was recorded, and from the last break for
-- another reason: what a turn has outlived is not held against it.
-- Returns what became of the turn.
-- Arguments:
--   id, attempt
--   seconds       how long it may go on breaking off
--   often         how often it may
--   event         last event of one that may no more
--   pause         seconds until it is tried again
--   ended, keep   for RQ: the time now, and the seconds an ended job is kept
local id, attempt = args.id, args.attempt
local turn = keys.turn .. id
if not held(id, attempt) then return 'fenced' end
local reason = cjson.decode(args.event).code
if redis.call('HGET', turn, 'broke_off_for') ~= reason then went_on(turn) end
redis.call('HSET', turn, 'broke_off_for', reason)
redis.call('HSETNX', turn, 'broke_off_at', now())
redis.call('HINCRBY', turn, 'breaks', 1)
local breaks = redis.call('HINCRBY', turn, 'breaks_in_a_row', 1)
if breaks >= tonumber(args.often) or now() - redis.call('HGET', turn, 'broke_off_at') > tonumber(args.seconds) then
  end_turn(id, 'failed', args.event, args.ended, args.keep)
  return 'failed'
end
if tonumber(args.pause) > 0 then
  requeue_later(id, pool_of(turn), attempt, args.pause)
else
  requeue(id, pool_of(turn), attempt)
end
return 'queued'
