-- Takes back the vote of a failed round. It names that round's token, so it can hurt nothing else, however late it
-- arrives. The tombstone refuses a copy of the vote that arrives later still.
-- KEYS: lock, tombstone, tick (only for a claim)
-- ARGV: token, the tombstone's lifetime in ms
-- Answers 1 when the lock was the token's, else 0.
local mine = redis.call('GET', KEYS[1]) == ARGV[1]
if mine then
  redis.call('DEL', KEYS[1])
end
if KEYS[3] and redis.call('HDEL', KEYS[3], 'token:' .. ARGV[1]) == 1 then
  local owned = false
  for _, field in ipairs(redis.call('HKEYS', KEYS[3])) do
    owned = owned or string.sub(field, 1, 6) == 'token:'
  end
  if not owned then
    redis.call('DEL', KEYS[3])
  end
end
redis.call('SET', KEYS[2], '', 'PX', ARGV[2])
return mine and 1 or 0
