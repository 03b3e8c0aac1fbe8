-- Who holds a lock, and for how long. It changes nothing.
-- KEYS: lock
-- Answers {'TAKEN', token, remaining ms (-1: for ever)} or {'VACANT'}.
local holder = redis.call('GET', KEYS[1])
if not holder then
  return { 'VACANT' }
end
return { 'TAKEN', holder, redis.call('PTTL', KEYS[1]) }
