-- SET NX GET for servers before 7.0, which do not know the two together.
-- KEYS: lock
-- ARGV: token, 'NX', 'GET', 'PX', ttl in ms
-- Answers who holds the lock, or null when it was free and now is ours.
local holder = redis.call('GET', KEYS[1])
if not holder then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[5])
end
return holder
