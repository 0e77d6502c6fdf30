-- Removes the names of servers that are gone from the group that settles ended turns. A name that still holds turns
-- stays until another server has claimed them.
-- Arguments:
--   idle          milliseconds without a sign of life after which a server is gone
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', keys.finished, keys.servers)) do
  local of = {}
  for i = 1, #consumer, 2 do of[consumer[i]] = consumer[i + 1] end
  if of.pending == 0 and of.idle > tonumber(args.idle) then
    redis.call('XGROUP', 'DELCONSUMER', keys.finished, keys.servers, of.name)
  end
end
