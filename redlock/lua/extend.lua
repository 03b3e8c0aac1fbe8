-- Keeps a lease alive, and puts its key back on a node that lost it.
-- The sender's validity still stands, so nobody else can have had a majority in between.
-- KEYS: lock, tombstone, fence (only with ARGV 3), guard (the last one, only with ARGV 5)
-- ARGV: token, ttl in ms, fence ('' without), restore (1 or 0: whether a missing key may be put back),
--       guard window in ms (0: no guard)
-- Answers 1 when the key is ours until the ttl has passed again, else 0, or {'YOUNG', ms until it votes}: the key may be
-- ours then too, but it does not count, since the node may have forgotten that it granted the lock to somebody whose
-- round still goes on.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return 0
end
if holder then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
elseif ARGV[4] == '0' or redis.call('EXISTS', KEYS[2]) == 1 then
  return 0
else
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
if ARGV[3] ~= '' then
  local seen = redis.call('GET', KEYS[3])
  if seen and tonumber(seen) < tonumber(ARGV[3]) then
    redis.call('SET', KEYS[3], ARGV[3], 'PX', 604800000)
  end
end
if ARGV[5] ~= '0' then
  local time = redis.call('TIME')
  local old = age(KEYS[#KEYS], time[1] * 1000 + math.floor(time[2] / 1000))
  if old < tonumber(ARGV[5]) then
    return { 'YOUNG', tonumber(ARGV[5]) - old }
  end
end
return 1
