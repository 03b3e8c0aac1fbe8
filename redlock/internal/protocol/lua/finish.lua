-- Ends a claim's run: deletes the lock if it is ours, marks the tick if it is done, wakes a waiter, and notes what came of
-- the run. The tick key stays, because it is what keeps the tick from being run again.
-- KEYS: lock, waiters, what to mark; with a history also runs
-- ARGV: 1 token, 2 tick, 3 owner, 4 the mark's lifetime in ms ('': the tick is not marked), 5 to 8 as note takes them
-- Answers 1 when the lock was ours, 2 when a waiter was also woken, else 0.
local known = redis.call('MGET', KEYS[1], KEYS[3])
local mine = known[1] == ARGV[1]
if mine then
  redis.call('DEL', KEYS[1])
end
if ARGV[4] ~= '' then
  mark(KEYS[3], known[2], ARGV[1], ARGV[2], ARGV[3], ARGV[4])
end
local woke = wake(KEYS[2], ARGV[1], KEYS[1])
if KEYS[4] then
  note(KEYS[4])
end
return mine and (woke and 2 or 1) or 0
