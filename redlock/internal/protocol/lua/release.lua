-- Releases a lock: compare and delete, then wake the waiter that is first in line.
-- KEYS: lock, waiters (if somebody is to be woken)
-- ARGV: token
-- Answers 1 when the lock was ours, 2 when a waiter was also woken, else 0.
local mine = redis.call('GET', KEYS[1]) == ARGV[1]
if mine then
  redis.call('DEL', KEYS[1])
end
local woke = KEYS[2] and wake(KEYS[2], ARGV[1], KEYS[1])
return mine and (woke and 2 or 1) or 0
