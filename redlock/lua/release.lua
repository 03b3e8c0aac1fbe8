-- Gives a lock back: compare and delete, then wake the waiter that is first in line.
-- KEYS: lock, waiters (if somebody is to be woken), fence (only with ARGV 2)
-- ARGV: token, fence (if there is one)
-- Answers 1 when the lock was ours, 2 when that also woke a waiter, else 0.
local mine = redis.call('GET', KEYS[1]) == ARGV[1]
if mine then
  redis.call('DEL', KEYS[1])
  if ARGV[2] then
    local seen = redis.call('GET', KEYS[3])
    if seen and tonumber(seen) < tonumber(ARGV[2]) then
      redis.call('SET', KEYS[3], ARGV[2], 'PX', 604800000)
    end
  end
end
local woke = false
if KEYS[2] then
  local first = redis.call('ZPOPMIN', KEYS[2])
  if first[1] then
    redis.call('PUBLISH', 'redtick:wake:' .. first[1], #ARGV[1] .. ':' .. ARGV[1] .. KEYS[1])
    woke = true
  end
end
return mine and (woke and 2 or 1) or 0
