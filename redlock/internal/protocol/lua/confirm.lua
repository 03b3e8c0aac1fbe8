-- Tells a node that a claim was granted by a majority.
-- KEYS: what to mark
-- ARGV: token, tick, owner, lifetime in ms
mark(KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4])
return 1
