-- Writes an entry of a turn's journal, for the attempt that holds the turn, and counts on the turn what was done
-- to make it: a model call that was answered, a tool that came to its end, another effect. An entry that was final
-- and is written again with something else is counted as repeated: what it stands for was done twice. One that does
-- not fit is counted as unrecorded, and as nothing else. An empty value takes the entry out. What the agent may go on
-- from, be it an answer, an effect, a failure, a result or that it gave a call up, is numbered in the order in which
-- it is recorded.
-- ARGV: the arguments, the value.
-- Arguments:
--   id, attempt
--   key
--   limit         bytes a journal may have
--   place         what is known of its place in that order (JSON)
local key, value = args.key, ARGV[2]
local turn = keys.turn .. args.id
local found = redis.call('HMGET', turn, 'attempt', 'status')
if found[1] ~= args.attempt or found[2] ~= 'running' then return 'fenced' end

local journal = turn .. keys.journal
local before = redis.call('HGET', journal, key)
local place_key = 'order ' .. key:gsub('^failure ', '')
if value == '' then
  for _, field in ipairs({key, place_key}) do
    redis.call('HINCRBY', turn, 'journal_bytes', -#(redis.call('HGET', journal, field) or ''))
    redis.call('HDEL', journal, field)
  end
  return 'ok'
end
-- Sent again, because the answer to the first sending was lost.
if before == value then return 'ok' end
local kind = key:match('^%a+')
local function final(entry)
  return kind == 'model' or kind == 'effect' or kind == 'tool' and cjson.decode(entry).state == 'done'
end

local more = #value - (before and #before or 0)
if redis.call('HINCRBY', turn, 'journal_bytes', more) > tonumber(args.limit) then
  redis.call('HINCRBY', turn, 'journal_bytes', -more)
  redis.call('HINCRBY', turn, 'unrecorded', 1)
  return 'full'
end
redis.call('HSET', journal, key, value)
local repeated = before and final(before)
if final(value) then redis.call('HINCRBY', turn, kind .. 's_made', 1) end
if repeated then redis.call('HINCRBY', turn, kind .. 's_repeated', 1) end
if final(value) and not repeated then went_on(turn) end
if final(value) or kind == 'failure' or kind == 'given' then
  local known = cjson.decode(args.place)
  known.version, known.at = versions.journal, now()
  known.number = redis.call('HINCRBY', turn, 'recorded', 1)
  local place = cjson.encode(known)
  redis.call('HINCRBY', turn, 'journal_bytes', #place - #(redis.call('HGET', journal, place_key) or ''))
  redis.call('HSET', journal, place_key, place)
end
return 'ok'
