-- Raises the counter of fences and returns it as text. One that is missing starts at the server's time in microseconds:
-- however fast leases follow each other, they cannot outrun it, so it does not go backwards when it was lost.
local function raise(counter, time)
  if redis.call('EXISTS', counter) == 0 then
    redis.call('SET', counter, string.format('%.0f', time[1] * 1000000 + time[2]))
  end
  local fence = string.format('%.0f', redis.call('INCR', counter))
  redis.call('PEXPIRE', counter, 604800000)
  return fence
end

