-- A worker gives a turn back that did nothing wrong, to the front of the queue. One that is given back again and again
-- ends its workers in a way that nobody can tell from a stop, and fails.
-- Returns what became of the turn.
-- Arguments:
--   id, attempt
--   often         how often a turn is given back
--   event         last event of one that was so often
--   ended, keep   for RQ: the time now, and the seconds an ended job is kept
local id, attempt = args.id, args.attempt
local turn = keys.turn .. id
if not held(id, attempt) then return 'fenced' end
if handed_over(turn, args.often) then
  end_turn(id, 'failed', args.event, args.ended, args.keep)
  return 'failed'
end
requeue(id, pool_of(turn), attempt)
return 'queued'
