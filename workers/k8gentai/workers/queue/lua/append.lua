-- Appends events for one attempt, and ends the turn when told a status; refuses a worker that lost its lease.
-- Sent again after a lost answer it appends only what is missing.
-- ARGV: the arguments, then the events.
-- Arguments:
--   id, attempt
--   first         seq of the first event
--   status        what the last event ends the turn with, or ''
--   ended, keep   for RQ: the time now, and the seconds an ended job is kept
local id, status = args.id, args.status
local turn = keys.turn .. id
local found = redis.call('HMGET', turn, 'attempt', 'status', 'seq')
if found[1] ~= args.attempt then return 'fenced' end
if found[2] ~= 'running' then return found[2] == status and 'ok' or 'fenced' end

local events = #ARGV - 1
for i = math.max(1, found[3] - args.first + 2), events do
  if i == events and status ~= '' then
    end_turn(id, status, ARGV[1 + i], args.ended, args.keep)
  else
    append(turn, ARGV[1 + i])
  end
end
return 'ok'
