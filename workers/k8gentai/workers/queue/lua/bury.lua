-- A worker's process has ended: notes how, and lets its turns be taken up at once.
-- Arguments:
--   pool, worker
--   how           how it ended (JSON)
--   seconds       how long the note stands
local pool, worker = args.pool, args.worker
redis.call('SET', keys.dead .. worker, args.how, 'EX', args.seconds)
for _, entry in ipairs(redis.call('ZRANGE', keys.leases .. pool, 0, -1)) do
  local id, attempt = entry:match('^(%S+) (%S+)$')
  if attempt ~= 'taken' and redis.call('HGET', keys.turn .. id, 'worker') == worker then
    redis.call('ZADD', keys.leases .. pool, 0, entry)
  end
end
local key = keys.rq_worker .. worker
redis.call('SREM', keys.rq_all_workers, key)
redis.call('SREM', keys.rq_workers .. pool, key)
redis.call('DEL', key)
return 'ok'
