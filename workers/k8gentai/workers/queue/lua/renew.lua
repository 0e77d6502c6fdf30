-- Renews a worker's leases. Returns those it has lost.
-- ARGV: the arguments, then '{id} {attempt}' of each turn it runs.
-- Arguments:
--   pool
--   lease         in seconds
local leases, lost = keys.leases .. args.pool, {}
for i = 2, #ARGV do
  if redis.call('ZSCORE', leases, ARGV[i]) then
    redis.call('ZADD', leases, now() + args.lease, ARGV[i])
  else
    lost[#lost + 1] = ARGV[i]
  end
end
return lost
