-- An attempt broke off by something that its agent did not do: the turn is tried again, from the front of the queue,
-- for as long and as often as it may. Both count from the last call that was recorded, and from the last break for
-- another reason: what a turn has outlived is not held against it.
-- ARGV: id, attempt, seconds it may go on breaking off, how often it may, last event of one that may no more, ended
--       at (for RQ), seconds RQ keeps the job, seconds until it is tried again. Returns what became of the turn.
local id, attempt, seconds, often, event, ended, keep, pause = unpack(ARGV)
local turn = keys.turn .. id
if not held(id, attempt) then return 'fenced' end
local reason = cjson.decode(event).code
if redis.call('HGET', turn, 'broke_off_for') ~= reason then went_on(turn) end
redis.call('HSET', turn, 'broke_off_for', reason)
redis.call('HSETNX', turn, 'broke_off_at', now())
redis.call('HINCRBY', turn, 'breaks', 1)
local breaks = redis.call('HINCRBY', turn, 'breaks_in_a_row', 1)
if breaks >= tonumber(often) or now() - redis.call('HGET', turn, 'broke_off_at') > tonumber(seconds) then
  end_turn(id, 'failed', event, ended, keep)
  return 'failed'
end
local framework = redis.call('HGET', turn, 'framework')
if tonumber(pause) > 0 then
  requeue_later(id, framework, attempt, pause)
else
  requeue(id, framework, attempt)
end
return 'queued'
