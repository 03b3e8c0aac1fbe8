-- One node's vote on a claim of one tick.
-- KEYS: lock, tick, last, tombstone, pause, fence (only with ARGV 10), guard (the last one, only with ARGV 9)
-- ARGV: 1 token, 2 ttl ('': answer, but change nothing), 3 tick, 4 owner, 5 retention, 6 how far a tick may lie ahead,
--       7 spacing (at least 1), 8 order: 'tick', 'any' or 'takeover', 9 guard window (0: no guard), 10 fencing (1 or 0).
--       The last four may be left out, from the end, where they are 1, 'tick', 0 and 0.
--       Times are in ms; ticks are Unix ms, because numbers here are doubles.
-- Answers {'GRANTED', fence}, {'DONE', token if known}, {'SEEN', token, remaining}, {'TAKEN', token, remaining},
--       {'STALE', now}, {'AHEAD', now}, {'LOST'}, {'DEAD'}, {'PAUSED', who and why, remaining ms (-1: for ever)} or
--       {'YOUNG', ms until it votes}.
local lock, tick = KEYS[1], KEYS[2]
local token, at, order = ARGV[1], tonumber(ARGV[3]), ARGV[8]
local known = redis.call('MGET', KEYS[3], KEYS[4], KEYS[5], lock)
local last, dead, paused, holder = order ~= 'any' and known[1], known[2], known[3], known[4]

-- Returns the token of one of the owner's claims. Mostly the owner is that token itself.
local function claimant(owner)
  if not owner or redis.call('HEXISTS', tick, 'token:' .. owner) == 1 then
    return owner or ''
  end
  local fields = redis.call('HGETALL', tick) -- HKEYS would sort them
  for i = 1, #fields, 2 do
    if string.sub(fields[i], 1, 6) == 'token:' then
      return string.sub(fields[i], 7)
    end
  end
  return ''
end

-- 1. Only granted claims write `last`: this is proof.
if last and at < tonumber(last) + (ARGV[7] or 1) then
  return { 'DONE', claimant(redis.call('HGET', tick, 'owner')) }
end

-- 2. The tick belongs to the owner whose tokens are in its key. Most claimers lose here, and cost no further commands.
local marks = order == 'takeover' and {} or redis.call('HMGET', tick, 'owner', 'granted', 'token:' .. token)
local owner, granted, counted = marks[1], marks[2], marks[3]
if owner and owner ~= ARGV[4] then
  local theirs = owner == holder and owner or claimant(owner)
  if granted then
    return { 'DONE', theirs }
  end
  return { 'SEEN', theirs, redis.call('PTTL', lock) }
end
-- This token's vote was counted here, and has lost the lock since: a late copy of it must not win that back.
if counted and holder ~= token then
  return { 'LOST' }
end
if dead then
  return { 'DEAD' }
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if at < now - tonumber(ARGV[5]) then
  return { 'STALE', now }
end
if at > now + tonumber(ARGV[6]) then
  return { 'AHEAD', now }
end

-- 3. An earlier run still holds the job.
if holder and holder ~= token then
  return { 'TAKEN', holder, redis.call('PTTL', lock) }
end

-- An operator paused the job: its holder goes on, nobody else begins. With a majority paused, nobody else gets a quorum.
if paused then
  return { 'PAUSED', paused, redis.call('PTTL', KEYS[5]) }
end

-- A node that may have forgotten who claimed this tick does not vote on it.
local window = tonumber(ARGV[9] or 0)
if window > 0 then
  local old, birth = age(KEYS[#KEYS], now)
  if old < window then
    return { 'YOUNG', window - old }
  end
  if at <= birth + tonumber(ARGV[6]) then
    return { 'YOUNG', birth + tonumber(ARGV[6]) - at + 1 }
  end
end

-- 4. Grant.
local fence, grants = '0', ARGV[2] ~= ''
if grants and ARGV[10] == '1' then
  fence = holder and redis.call('GET', KEYS[6]) or raise(KEYS[6], time)
end
if not grants or not redis.call('SET', lock, token, 'PX', ARGV[2], holder and 'XX' or 'NX') then
  redis.call('GET', lock) -- fails on data of another type, which MGET shows as no value
end
if grants and order ~= 'takeover' then
  redis.call('HSET', tick, 'owner', ARGV[4], 'token:' .. token, '')
  if not owner then
    -- Keep the key until the tick is refused as stale, which is later still for a tick that lies ahead.
    redis.call('PEXPIRE', tick, string.format('%.0f', tonumber(ARGV[5]) + math.max(0, at - now) + 1000))
  end
end
return { 'GRANTED', fence }
