-- Makes a fence stand on this node, if the lock here is ours and the counter that our vote raised is still there. A
-- counter that was lost must start at the time of the next vote, and not at this fence, which may be older.
-- KEYS: lock, fence
-- ARGV: token, fence
-- Answers 1 when the fence stands, else 0.
local seen = redis.call('GET', KEYS[2])
if not seen or redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
if tonumber(seen) < tonumber(ARGV[2]) then
  redis.call('SET', KEYS[2], ARGV[2], 'PX', 604800000)
end
return 1
