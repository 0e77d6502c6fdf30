-- A worker gives a turn back that did nothing wrong, to the front of the queue. One that is given back again and again
-- ends its workers in a way that nobody can tell from a stop, and fails.
-- ARGV: id, attempt, how often a turn is given back, last event of one that was so often, ended at (for RQ), seconds RQ
--       keeps the job. Returns what became of the turn.
local id, attempt, often, event, ended, keep = unpack(ARGV)
local turn = keys.turn .. id
if not held(id, attempt) then return 'fenced' end
if handed_over(turn, often) then
  end_turn(id, 'failed', event, ended, keep)
  return 'failed'
end
requeue(id, redis.call('HGET', turn, 'framework'), attempt)
return 'queued'
