-- Hands a lock from one token to another. Of several who try, one succeeds.
-- The old token gets a tombstone wherever it may still turn up, so that a late extension cannot restore it.
-- KEYS: lock, the old token's tombstone, the new one's, fence (only with ARGV 5), guard (the last one, only with ARGV 6)
-- ARGV: old token, new token, ttl in ms, the tombstone's lifetime in ms, fencing (1 or 0), guard window in ms (0: no guard),
--       unused (1 when no handle relies on the old token)
-- Answers {'GRANTED', fence, what remained for the old token in ms} or {'TAKEN', token, remaining ms}, {'DEAD'}, or
--       {'YOUNG', ms until it votes}: the lock may be handed over then too, but it does not count; see extend.lua.
local holder = redis.call('GET', KEYS[1])
redis.call('SET', KEYS[2], '', 'PX', ARGV[4])
if holder and holder ~= ARGV[1] and holder ~= ARGV[2] then
  return { 'TAKEN', holder, redis.call('PTTL', KEYS[1]) }
end
if not holder then
  return { 'TAKEN', '', 0 }
end
if redis.call('EXISTS', KEYS[3]) == 1 then
  -- This swap is late: the new token was handed on or aborted. A lock that no handle relies on must not stay.
  if ARGV[7] == '1' and holder == ARGV[1] then
    redis.call('DEL', KEYS[1])
  end
  return { 'DEAD' }
end
local time = redis.call('TIME')
local remaining = redis.call('PTTL', KEYS[1])
if remaining == -1 then
  remaining = tonumber(ARGV[3]) -- the key lost its expiry, but a handle may rely on it for a TTL
end
local fence = '0'
if ARGV[5] == '1' then
  fence = holder == ARGV[1] and raise(KEYS[4], time) or redis.call('GET', KEYS[4]) or '0'
end
-- An old holder may rely on the lock for what remained of it, so the key must live on for that long as well.
local lifetime = tonumber(ARGV[3]) + (ARGV[7] == '1' and 0 or math.max(remaining, 0))
redis.call('SET', KEYS[1], ARGV[2], 'PX', string.format('%.0f', lifetime))
if ARGV[6] ~= '0' then
  local old = age(KEYS[#KEYS], time[1] * 1000 + math.floor(time[2] / 1000))
  if old < tonumber(ARGV[6]) then
    return { 'YOUNG', tonumber(ARGV[6]) - old }
  end
end
return { 'GRANTED', fence, remaining }
