-- Keeps a lease alive, and puts its key back on a node that lost it.
-- The sender's validity still stands, so nobody else can have had a majority in between.
-- KEYS: lock, tombstone, guard (only with ARGV 3)
-- ARGV: token, ttl in ms, guard window in ms (0: no guard)
-- Answers 1 when the key is ours for another ttl, else 0, or {'YOUNG', ms until it votes}. YOUNG does not count even if
-- the key is ours now: the node may have forgotten that it granted the lock to somebody whose round still goes on.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return 0
end
if holder then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
elseif redis.call('EXISTS', KEYS[2]) == 1 then
  return 0
else
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
if ARGV[3] ~= '0' then
  local time = redis.call('TIME')
  local old = age(KEYS[3], time[1] * 1000 + math.floor(time[2] / 1000))
  if old < tonumber(ARGV[3]) then
    return { 'YOUNG', tonumber(ARGV[3]) - old }
  end
end
return 1
