-- Puts a waiter in line for a release notice, in order of arrival.
-- KEYS: lock, waiters
-- ARGV: waiter, the line's lifetime in ms
-- Answers what remains of the holder's lock in ms, or 0 when it is free: then no notice may come, ask at once.
local remaining = redis.call('PTTL', KEYS[1])
if remaining == -2 then
  return 0
end
local time = redis.call('TIME')
redis.call('ZADD', KEYS[2], 'NX', string.format('%.0f', time[1] * 1000000 + time[2]), ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return math.max(remaining, 1)
