-- Decides which turn of a pool runs next: first in, first out. All that queue a turn, and all that begin one, come
-- through here. Turns of one conversation wait for each other before they come here.

-- Has a queued turn run by the pool's workers: in its order, or next where `where` is 'LPUSH'.
local function push(id, pool, where)
  redis.call('HSET', keys.rq_job .. id, 'status', 'queued')
  redis.call('SADD', keys.rq_queues, keys.rq_queue .. pool)
  redis.call(where, keys.rq_queue .. pool, id)
end

-- Returns the turn to begin now that a worker took an id from the pool's queue.
local function chosen(_pool, taken)
  return taken
end
