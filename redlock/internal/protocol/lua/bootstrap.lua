-- Declares that a node remembers nothing because it is fresh, not because it forgot, so that it may vote at once.
-- KEYS: guard
-- Answers {maxmemory policy, age of its memory in ms, its birth}. The age is -1 if it was fresh, the birth 0 if it had
-- been declared so before. With a wrong policy it changes nothing, so that the node is still fresh once that is mended.
local policy = string.match(redis.call('INFO', 'memory'), 'maxmemory_policy:(%S+)') or '?'
if policy ~= 'noeviction' then
  return { policy, -1, '' }
end
local time = redis.call('TIME')
local fresh = redis.call('EXISTS', KEYS[1]) == 0
local old, birth = age(KEYS[1], time[1] * 1000 + math.floor(time[2] / 1000))
if fresh then
  redis.call('HSET', KEYS[1], 'birth', '0')
  return { policy, -1, '' }
end
return { policy, old, string.format('%.0f', birth) }
