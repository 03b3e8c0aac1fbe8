-- Restart guard: the age of this node's memory, bound to the server process and its replication history.
-- A missing key (flushed, restarted empty) and another run or replication id (restarted, promoted) both mean
-- that the node may have forgotten votes, so its memory begins now.
local function age(key, now)
  local id = ''
  for _, part in ipairs({ { 'server', 'run_id:(%w+)' }, { 'replication', 'master_replid:(%w+)' } }) do
    id = id .. (string.match(redis.call('INFO', part[1]), part[2]) or '?') .. '/'
  end
  local known = redis.call('HMGET', key, 'id', 'birth')
  if known[1] ~= id or not known[2] then
    known[2] = string.format('%.0f', now)
    redis.call('HSET', key, 'id', id, 'birth', known[2])
  end
  return now - tonumber(known[2]), tonumber(known[2])
end

