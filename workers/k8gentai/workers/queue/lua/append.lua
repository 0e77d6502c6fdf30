-- Appends events for one attempt, and ends the turn when told a status; refuses a worker that lost its lease.
-- Sent again after a lost answer it appends only what is missing.
-- ARGV: id, attempt, seq of the first event, status the last event ends the turn with or '', ended at (for RQ),
--       seconds RQ keeps the job, then the events.
local id, attempt, first, status, ended, keep = unpack(ARGV, 1, 6)
local turn = keys.turn .. id
local found = redis.call('HMGET', turn, 'attempt', 'status', 'seq')
if found[1] ~= attempt then return 'fenced' end
if found[2] ~= 'running' then return found[2] == status and 'ok' or 'fenced' end

local events = #ARGV - 6
for i = math.max(1, found[3] - first + 2), events do
  if i == events and status ~= '' then
    end_turn(id, status, ARGV[6 + i], ended, keep)
  else
    append(turn, ARGV[6 + i])
  end
end
return 'ok'
