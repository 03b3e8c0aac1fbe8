-- Marks a tick as granted on this node: the proof for those who ask later, which also keeps a copy of the
-- winner's own vote, should it arrive late, from locking again. Only the one who was granted the tick does this.
-- key: `last` for ticks in order; the tick's own key when they come in any order (owner is '' in the first case)
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

