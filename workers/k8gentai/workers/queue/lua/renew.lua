-- Renews a worker's leases. Returns those it has lost.
-- ARGV: framework, lease in seconds, then '{id} {attempt}' of each turn it runs.
local leases, lost, here = keys.leases .. ARGV[1], {}, this_redis()
for i = 3, #ARGV do
  if redis.call('ZSCORE', leases, ARGV[i]) then
    redis.call('ZADD', leases, now() + ARGV[2], ARGV[i])
    local turn = keys.turn .. ARGV[i]:match('^%S+')
    if redis.call('HGET', turn, 'redis') ~= here then redis.call('HSET', turn, 'redis', here) end
  else
    lost[#lost + 1] = ARGV[i]
  end
end
return lost
