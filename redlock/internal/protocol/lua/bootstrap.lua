-- Declares a node that remembers nothing to be fresh, not forgetful: it may vote at once.
-- KEYS: guard
-- Answers {maxmemory policy, age of its memory in ms, its birth}; the age is -1 when it was fresh, the birth 0 when it
-- was declared so before. Where the policy is wrong it changes nothing: the node is still fresh when that is cured.
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
