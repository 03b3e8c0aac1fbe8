-- One node's vote on a claim of one tick.
-- KEYS: lock, tick, last, tombstone, pause, fence (only with ARGV 11), guard (the last one, only with ARGV 10)
-- ARGV: 1 token, 2 ttl, 3 tick, 4 owner, 5 retention, 6 how far a tick may lie ahead, 7 spacing (at least 1),
--       8 order: 'tick', 'any' or 'takeover', 9 dry run (1: answer, but change nothing), 10 guard window (0: no guard),
--       11 fencing (1 or 0)
--       Times are in ms; ticks are Unix ms, because numbers here are doubles.
-- Answers {'GRANTED', fence}, {'DONE', token if known}, {'SEEN', token, remaining, last}, {'TAKEN', token, remaining, last},
--       {'STALE', now}, {'AHEAD', now}, {'LOST'}, {'DEAD'}, {'PAUSED', who and why, remaining ms (-1: for ever)} or
--       {'YOUNG', ms until it votes}.
local lock, tick = KEYS[1], KEYS[2]
local token, at, order = ARGV[1], tonumber(ARGV[3]), ARGV[8]
local known = redis.call('MGET', KEYS[3], KEYS[4], KEYS[5])
local last, dead, paused = order ~= 'any' and known[1], known[2], known[3]

-- What the tick's key has: its owner, the token of a claim, and whether one was granted.
local function recall()
  local fields, seen = redis.call('HGETALL', tick), { claimant = '' }
  for i = 1, #fields, 2 do
    seen[fields[i]] = fields[i + 1]
    if seen.claimant == '' and string.sub(fields[i], 1, 6) == 'token:' then
      seen.claimant = string.sub(fields[i], 7)
    end
  end
  return seen
end

-- 1. Only granted claims write `last`: this is proof.
if last and at < tonumber(last) + tonumber(ARGV[7]) then
  return { 'DONE', recall().claimant }
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if at < now - tonumber(ARGV[5]) then
  return { 'STALE', now }
end
if at > now + tonumber(ARGV[6]) then
  return { 'AHEAD', now }
end

-- 2. The tick belongs to the owner whose tokens are in its key.
local holder = redis.call('GET', lock)
local seen = order ~= 'takeover' and recall() or {}
if seen.owner and seen.owner ~= ARGV[4] then
  if seen.granted then
    return { 'DONE', seen.claimant }
  end
  return { 'SEEN', seen.claimant, redis.call('PTTL', lock), last or '' }
end
if holder ~= token and seen['token:' .. token] then
  return { 'LOST' }
end
if dead then
  return { 'DEAD' }
end

-- 3. An earlier run still holds the job.
if holder and holder ~= token then
  return { 'TAKEN', holder, redis.call('PTTL', lock), last or '' }
end

-- An operator paused the job: who holds it goes on, nobody else begins. On a majority of the nodes nobody else has a quorum.
if paused then
  return { 'PAUSED', paused, redis.call('PTTL', KEYS[5]) }
end

-- A node that may have forgotten who claimed this tick does not vote on it.
if ARGV[10] ~= '0' then
  local old, birth = age(KEYS[#KEYS], now)
  if old < tonumber(ARGV[10]) then
    return { 'YOUNG', tonumber(ARGV[10]) - old }
  end
  if at <= birth + tonumber(ARGV[6]) then
    return { 'YOUNG', birth + tonumber(ARGV[6]) - at + 1 }
  end
end

-- 4. Grant.
local fence = '0'
if ARGV[9] ~= '1' then
  if ARGV[11] == '1' then
    fence = holder and redis.call('GET', KEYS[6]) or raise(KEYS[6], time)
  end
  redis.call('SET', lock, token, 'PX', ARGV[2])
  if order ~= 'takeover' then
    redis.call('HSET', tick, 'owner', ARGV[4], 'token:' .. token, '')
    if not seen.owner then
      -- From here on the tick is refused as stale before its key is gone, even if it lies ahead.
      redis.call('PEXPIRE', tick, string.format('%.0f', tonumber(ARGV[5]) + math.max(0, at - now) + 1000))
    end
  end
end
return { 'GRANTED', fence }
