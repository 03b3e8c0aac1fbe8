-- Raises the counter of fences and returns it as text. A missing counter starts at the server's time in microseconds.
-- Leases cannot follow each other faster than that, so a counter that was lost does not go backwards.
local function raise(counter, time)
  if redis.call('EXISTS', counter) == 0 then
    redis.call('SET', counter, string.format('%.0f', time[1] * 1000000 + time[2]))
  end
  local fence = string.format('%.0f', redis.call('INCR', counter))
  redis.call('PEXPIRE', counter, 604800000)
  return fence
end

