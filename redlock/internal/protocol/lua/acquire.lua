-- One node's vote on a lock with a fence or behind the restart guard. (Without either, SET NX PX is the vote.)
-- KEYS: lock, tombstone, fence, guard
-- ARGV: token, ttl in ms, fencing (1 or 0), guard window in ms (0: no guard)
-- Answers {'GRANTED', fence}, {'TAKEN', token, remaining ms}, {'DEAD'} or {'YOUNG', ms until it votes}.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return { 'TAKEN', holder, redis.call('PTTL', KEYS[1]) }
end
if redis.call('EXISTS', KEYS[2]) == 1 then
  return { 'DEAD' }
end
local time = redis.call('TIME')
if ARGV[4] ~= '0' then
  local old = age(KEYS[4], time[1] * 1000 + math.floor(time[2] / 1000))
  if old < tonumber(ARGV[4]) then
    return { 'YOUNG', tonumber(ARGV[4]) - old }
  end
end
local fence = '0'
if ARGV[3] == '1' then
  if holder then
    fence = redis.call('GET', KEYS[3]) or '0'
  else
    fence = raise(KEYS[3], time)
  end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return { 'GRANTED', fence }
