-- Tells a node that a claim was granted by a majority, so that the losers need not ask twice.
-- KEYS: tick, last
-- ARGV: token, tick, last's lifetime in ms ('' when ticks come in any order: the tick key itself is marked)
if ARGV[3] == '' then
  if redis.call('HEXISTS', KEYS[1], 'token:' .. ARGV[1]) == 1 then
    redis.call('HSET', KEYS[1], 'granted', '1')
  end
  return 1
end
local last = redis.call('GET', KEYS[2])
if not last or tonumber(last) < tonumber(ARGV[2]) then
  redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
else
  redis.call('PEXPIRE', KEYS[2], ARGV[3])
end
return 1
