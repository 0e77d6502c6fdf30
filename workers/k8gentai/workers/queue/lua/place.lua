-- Gives items that join a conversation their positions, which rise with every item, whatever any clock says.
-- Returns the first position; the same for the same turn.
-- Arguments:
--   conversation
--   turn          whose items they are, or ''
--   count         how many
--   least         the least position there may be
--   keep          seconds until the count may be forgotten
local position = keys.lane .. args.conversation .. keys.position
local turn = args.turn ~= '' and keys.turn .. args.turn
local placed = turn and redis.call('HGET', turn, 'position')
if placed then return tonumber(placed) end

-- The time of day is no order, but what was written before there were positions is dated by it.
local first = math.max(tonumber(redis.call('GET', position) or 0), tonumber(args.least), math.floor(now()))
redis.call('SET', position, string.format('%d', first + args.count), 'EX', args.keep)
if turn and redis.call('EXISTS', turn) == 1 then redis.call('HSET', turn, 'position', string.format('%d', first)) end
return first
