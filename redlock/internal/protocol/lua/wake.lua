-- Wakes the waiter that is first in line, and returns whether one was reached. A process that died stays in line until its
-- place expires, so go on until PUBLISH reaches somebody. (On Redis Cluster it counts only those on the same server.)
-- An access rule that forbids the line or the channel must not keep the lock from being released: hence pcall.
local function wake(waiters, token, lock)
  for _ = 1, 16 do
    local first = redis.pcall('ZPOPMIN', waiters)
    if not first[1] then
      return false
    end
    local reached = redis.pcall('PUBLISH', 'redtick:wake:' .. first[1], #token .. ':' .. token .. lock)
    if type(reached) == 'number' and reached > 0 then
      return true
    end
  end
  return false
end

