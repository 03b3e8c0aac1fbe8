-- Raises the counter of fences and returns it as text. A missing counter starts at the server's time in microseconds.
-- Leases cannot follow each other faster than that, so a counter that was lost does not go backwards.
local function raise(counter, time)
  local seen = redis.call('GET', counter) or time[1] * 1000000 + time[2]
  local fence = string.format('%.0f', seen + 1)
  redis.call('SET', counter, fence, 'PX', 604800000)
  return fence
end
