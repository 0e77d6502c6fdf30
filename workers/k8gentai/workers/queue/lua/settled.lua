-- The turn is in the SQL store: lets its conversation's next turn go and sets an end to the turn's keys.
-- ARGV: the arguments, the history of the conversation's next turn.
-- Arguments:
--   id
--   written       status that was written, or ''
--   entry         in the stream of ended turns
--   keep          seconds the turn stays readable
--   following     the conversation's next turn as the caller saw it, or ''
local id, written, keep = args.id, args.written, args.keep
local turn = keys.turn .. id
local found = redis.call('HMGET', turn, 'conversation', 'principal', 'expires_at', 'status', 'deleted')
local conversation, principal = found[1], found[2]
-- One that waited for a person was cancelled meanwhile.
if written ~= '' and found[4] and found[4] ~= written and not found[5] then return 'changed' end
-- A turn that waits for a person is kept for as long as it waits.
if waits(id) then keep = math.ceil(math.max(keep, (tonumber(found[3]) or 0) - now() + keep)) end

if conversation and conversation ~= '' then
  local lane = keys.lane .. conversation
  if redis.call('LINDEX', lane, 0) == id then
    local following = redis.call('LINDEX', lane, 1) or ''
    if following ~= args.following then return 'moved' end
    redis.call('LPOP', lane)
    redis.call('INCR', lane .. keys.version)
    redis.call('EXPIRE', lane .. keys.version, keep)
    local waiting = keys.turn .. following
    if following ~= '' and redis.call('HGET', waiting, 'status') == 'queued' then
      redis.call('HSET', waiting, 'history', ARGV[2])
      push(following, pool_of(waiting), 'RPUSH')
    end
  else
    redis.call('LREM', lane, 0, id)
  end
end

if principal then
  redis.call('ZREM', keys.unsettled .. principal, id)
  redis.call('HSET', turn, 'settled', 1)
  expire(turn, keep)
end
redis.call('XACK', keys.finished, keys.servers, args.entry)
redis.call('XDEL', keys.finished, args.entry)
return 'ok'
