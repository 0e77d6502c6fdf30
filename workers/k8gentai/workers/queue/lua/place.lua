-- Gives items that join a conversation their positions, which rise with every item, whatever any clock says.
-- ARGV: conversation, turn whose items they are or '', how many, the least position there may be, seconds until the
--       count may be forgotten. Returns the first position; the same for the same turn.
local conversation, turn, count, least, keep = unpack(ARGV)
local position = keys.lane .. conversation .. keys.position
turn = turn ~= '' and keys.turn .. turn
local placed = turn and redis.call('HGET', turn, 'position')
if placed then return tonumber(placed) end

-- The time of day is no order, but what was written before there were positions is dated by it.
local first = math.max(tonumber(redis.call('GET', position) or 0), tonumber(least), math.floor(now()))
redis.call('SET', position, string.format('%d', first + count), 'EX', keep)
if turn and redis.call('EXISTS', turn) == 1 then redis.call('HSET', turn, 'position', string.format('%d', first)) end
return first
