-- What a node knows of a name; it changes nothing.
-- KEYS: lock, last, fence, waiters
-- ARGV: what a tick's key begins with
-- Answers {token, remaining ms, last tick, who claimed it, fence, waiters}; what is not there is ''.
local function text(key)
  local value = redis.pcall('GET', key)
  return type(value) == 'string' and value or ''
end
local last, claimant = text(KEYS[2]), ''
if last ~= '' then
  for _, field in ipairs(redis.call('HKEYS', ARGV[1] .. last)) do
    if string.sub(field, 1, 6) == 'token:' then
      claimant = string.sub(field, 7)
    end
  end
end
return { text(KEYS[1]), redis.call('PTTL', KEYS[1]), last, claimant, text(KEYS[3]), redis.call('ZCARD', KEYS[4]) }
