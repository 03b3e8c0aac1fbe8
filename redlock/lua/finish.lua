-- Ends a granted claim: the lock goes if it is ours, `last` moves up to the tick, a waiter is woken.
-- The tick key stays: it is what makes the tick run once.
-- KEYS: lock, waiters, last
-- ARGV: token, name, tick, last's lifetime in ms ('' when ticks come in any order: `last` is not kept)
-- Answers 1 when the lock was ours, else 0.
local mine = redis.call('GET', KEYS[1]) == ARGV[1]
if mine then
  redis.call('DEL', KEYS[1])
end
if ARGV[4] ~= '' then
  local last = redis.call('GET', KEYS[3])
  if not last or tonumber(last) < tonumber(ARGV[3]) then
    redis.call('SET', KEYS[3], ARGV[3], 'PX', ARGV[4])
  end
end
local first = redis.call('ZPOPMIN', KEYS[2])
if first[1] then
  redis.call('PUBLISH', 'redtick:wake:' .. first[1], ARGV[2])
end
return mine and 1 or 0
