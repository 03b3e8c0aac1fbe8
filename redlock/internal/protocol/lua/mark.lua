-- Marks a tick as granted. For later claimers the mark is proof. It also keeps a late copy of the winner's own
-- vote from locking again. Only the winner writes it.
-- key: `last` for ticks in order (then owner is ''), the tick's own key for ticks in any order
local function mark(key, last, token, tick, owner, lifetime)
  if owner ~= '' then
    redis.call('HSET', key, 'owner', owner, 'token:' .. token, '', 'granted', '')
    redis.call('PEXPIRE', key, lifetime)
    return
  end
  if not last or tonumber(last) < tonumber(tick) then
    redis.call('SET', key, tick, 'PX', lifetime)
  end
end

