-- Gives a lock back: compare and delete, then wake the waiter that is first in line.
-- KEYS: lock, waiters, fence (only with ARGV 4)
-- ARGV: token, name (a notice says both), wake (1 or 0), fence ('' without)
-- Answers 1 when the lock was ours, else 0.
local mine = redis.call('GET', KEYS[1]) == ARGV[1]
if mine then
  redis.call('DEL', KEYS[1])
  if ARGV[4] ~= '' then
    local seen = redis.call('GET', KEYS[3])
    if not seen or tonumber(seen) < tonumber(ARGV[4]) then
      redis.call('SET', KEYS[3], ARGV[4], 'PX', 604800000)
    end
  end
end
if ARGV[3] == '1' then
  local first = redis.call('ZPOPMIN', KEYS[2])
  if first[1] then
    redis.call('PUBLISH', 'redtick:wake:' .. first[1], #ARGV[1] .. ':' .. ARGV[1] .. ARGV[2])
  end
end
return mine and 1 or 0
