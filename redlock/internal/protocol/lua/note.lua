-- Notes a run among the name's newest. The token makes the entry unique, so a copy that comes late adds nothing.
-- Neither an access rule nor data of another type under this key may keep the lock from being released: hence pcall.
-- ARGV: 2 tick, 5 how many are kept, 6 what was noted of this run before ('' for nothing), 7 what is noted now,
--       8 lifetime in ms
local function note(runs)
  redis.pcall('ZADD', runs, ARGV[2], ARGV[7])
  -- Add before you remove: an empty set would vanish, and its lifetime with it.
  if ARGV[6] ~= '' and redis.pcall('ZREM', runs, ARGV[6]) == 1 then
    return
  end
  redis.pcall('ZREMRANGEBYRANK', runs, 0, -1 - ARGV[5])
  redis.pcall('PEXPIRE', runs, ARGV[8])
end

