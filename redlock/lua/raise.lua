-- Makes a fence stand on this node: only while the lock here is ours.
-- KEYS: lock, fence
-- ARGV: token, fence
local seen = redis.call('GET', KEYS[2])
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
if not seen or tonumber(seen) < tonumber(ARGV[2]) then
  redis.call('SET', KEYS[2], ARGV[2], 'PX', 604800000)
end
return 1
