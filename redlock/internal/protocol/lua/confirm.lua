-- Tells a node that a claim was granted by a majority.
-- KEYS: what to mark; with a history also the lock, runs
-- ARGV: 1 token, 2 tick, 3 owner, 4 the mark's lifetime in ms ('': nothing is marked yet), 5 to 8 as note takes them
local known = redis.call('MGET', KEYS[1], KEYS[2] or KEYS[1])
if ARGV[4] ~= '' then
  mark(KEYS[1], known[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4])
end
-- A release may have overtaken this call. It has noted the run's end, so do not note again that the run began.
if KEYS[3] and known[2] == ARGV[1] then
  note(KEYS[3])
end
return 1
