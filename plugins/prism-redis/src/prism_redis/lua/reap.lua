-- Lets go what removed queues held. ARGV: how many items in this step. Returns how many queues are left.
local left = tonumber(ARGV[1])
while left > 0 do
  local number = redis.call('LINDEX', TRASH, 0)
  if not number then break end
  local queue = {number = tonumber(number)}
  local fresh = redis.call('LPOP', key(queue, 'new'), left) or {}
  for _, value in ipairs(fresh) do
    local id = string.sub(value, 25)
    if id ~= '' then count(id, -1) end
  end
  left = left - #fresh
  if left > 0 then
    local cut = redis.call('ZPOPMIN', key(queue, 'due'), left)
    for i = 1, #cut, 2 do
      local value = redis.call('HGET', key(queue, 'out'), cut[i])
      redis.call('HDEL', key(queue, 'out'), cut[i])
      local id = value and string.sub(value, 49) or ''
      if id ~= '' then count(id, -1) end
    end
    left = left - #cut / 2
  end
  if left > 0 then
    local dead = redis.call('LPOP', key(queue, 'dead'), left) or {}
    for _, value in ipairs(dead) do count(string.sub(value, 33), -1) end
    left = left - #dead
  end
  if left > 0 then
    redis.call('DEL', key(queue, 'out'), key(queue, 'again'))
    redis.call('LPOP', TRASH)
    left = left - 1
  end
end
flush()
return redis.call('LLEN', TRASH)
