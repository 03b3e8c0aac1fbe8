-- Ends a granted claim: the lock goes if it is ours, the tick is marked, a waiter is woken.
-- The tick key stays: it is what makes the tick run once.
-- KEYS: lock, waiters, what to mark
-- ARGV: token, tick, owner, lifetime in ms
-- Answers 1 when the lock was ours, 2 when a waiter was also woken, else 0.
local mine = redis.call('GET', KEYS[1]) == ARGV[1]
if mine then
  redis.call('DEL', KEYS[1])
end
mark(KEYS[3], ARGV[1], ARGV[2], ARGV[3], ARGV[4])
local woke = wake(KEYS[2], ARGV[1], KEYS[1])
return mine and (woke and 2 or 1) or 0
