-- Declares a node that remembers nothing to be fresh, not forgetful: it may vote at once.
-- KEYS: guard
-- Answers {maxmemory policy, age of its memory in ms}; the age is -1 when it was fresh.
local policy = string.match(redis.call('INFO', 'memory'), 'maxmemory_policy:(%S+)') or '?'
local time = redis.call('TIME')
local fresh = redis.call('EXISTS', KEYS[1]) == 0
local old = age(KEYS[1], time[1] * 1000 + math.floor(time[2] / 1000))
if fresh and policy == 'noeviction' then
  redis.call('HSET', KEYS[1], 'birth', '0')
  old = -1
end
return { policy, old }
