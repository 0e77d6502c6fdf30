-- Renews a worker's leases. Returns those it has lost.
-- ARGV: framework, lease in seconds, then '{id} {attempt}' of each turn it runs.
local leases, lost = keys.leases .. ARGV[1], {}
for i = 3, #ARGV do
  if redis.call('ZSCORE', leases, ARGV[i]) then
    redis.call('ZADD', leases, now() + ARGV[2], ARGV[i])
  else
    lost[#lost + 1] = ARGV[i]
  end
end
return lost
