-- A worker's process has ended: notes how, and lets its turns be taken up at once.
-- ARGV: framework, worker, how it ended (JSON), seconds the note stands.
local framework, worker, how, seconds = unpack(ARGV)
redis.call('SET', keys.dead .. worker, how, 'EX', seconds)
for _, entry in ipairs(redis.call('ZRANGE', keys.leases .. framework, 0, -1)) do
  local id, attempt = entry:match('^(%S+) (%S+)$')
  if attempt ~= 'taken' and redis.call('HGET', keys.turn .. id, 'worker') == worker then
    redis.call('ZADD', keys.leases .. framework, 0, entry)
  end
end
local key = keys.rq_worker .. worker
redis.call('SREM', keys.rq_all_workers, key)
redis.call('SREM', keys.rq_workers .. framework, key)
redis.call('DEL', key)
return 'ok'
