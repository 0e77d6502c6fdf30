-- Renews a worker's leases. Returns those it has lost.
-- ARGV: the arguments, then '{id} {attempt}' of each turn it runs.
-- Arguments:
--   pool
--   lease         in seconds
local leases, lost, here = keys.leases .. args.pool, {}, this_redis()
for i = 2, #ARGV do
  if redis.call('ZSCORE', leases, ARGV[i]) then
    redis.call('ZADD', leases, now() + args.lease, ARGV[i])
    local turn = keys.turn .. ARGV[i]:match('^%S+')
    if redis.call('HGET', turn, 'redis') ~= here then redis.call('HSET', turn, 'redis', here) end
  else
    lost[#lost + 1] = ARGV[i]
  end
end
return lost
