-- Puts a waiter in line for a release notice, in order of arrival.
-- KEYS: lock, waiters
-- ARGV: waiter, the line's lifetime in ms, its place (the arrival it was told before, or '')
-- Answers {what remains of the holder's lock in ms, the place}. 0 says that the lock is free: ask at once, since a notice
-- may not come before somebody else has had it. A key that never expires counts as having a day.
local place = ARGV[3]
if place == '' then
  local time = redis.call('TIME')
  place = string.format('%.0f', time[1] * 1000000 + time[2])
end
redis.call('ZADD', KEYS[2], 'NX', place, ARGV[1])
if redis.call('PTTL', KEYS[2]) < tonumber(ARGV[2]) then
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
end
local remaining = redis.call('PTTL', KEYS[1])
if remaining == -1 then
  remaining = 86400000
end
return { remaining == -2 and 0 or math.max(remaining, 1), place }
