-- Makes a fence stand on this node: only while the lock here is ours, and the counter that our vote raised is still
-- there. One that was lost since starts at the time when the next vote comes, never at a fence, which may be an old one.
-- KEYS: lock, fence
-- ARGV: token, fence
local seen = redis.call('GET', KEYS[2])
if not seen or redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
if tonumber(seen) < tonumber(ARGV[2]) then
  redis.call('SET', KEYS[2], ARGV[2], 'PX', 604800000)
end
return 1
