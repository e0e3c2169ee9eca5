-- Removes queues, or with a mark what they held before it. ARGV: mark or '', names.
-- A removed queue is gone at once; what it held is let go by reap, in steps. Returns whether there is something to.
local mark = tonumber(ARGV[1])
local names = {}
for i = 2, #ARGV do names[#names + 1] = ARGV[i] end
load_queues(names)

local function remove(queue)
  redis.call('HDEL', NAMES, queue.name)
  queue.gone = true
  if queue.fresh > 0 or queue.check_at < NEVER or redis.call('EXISTS', key(queue, 'dead'), key(queue, 'again')) > 0 then
    redis.call('RPUSH', TRASH, whole(queue.number))
  end
end

local function is_older(queue, item)
  if item.position >= mark then return false end
  local again = queue.again == 1 and redis.call('HGET', key(queue, 'again'), item.id)
  return not again or tonumber(again) < mark
end

local function forget(queue, item)
  if item.id ~= '' then redis.call('SREM', GOT .. item.id, whole(queue.number)) end
end

-- As if what is older had never been there.
local function drop_older(queue)
  local kept, seen, done = {}, 0, false
  while not done and seen < queue.fresh do
    for _, value in ipairs(redis.call('LRANGE', key(queue, 'new'), seen, seen + 499)) do
      local item = item_of(value)
      if item.sequence >= mark then
        done = true
        break
      end
      seen = seen + 1
      if is_older(queue, item) then
        lose(queue, item)
        forget(queue, item)
      else
        kept[#kept + 1] = item
      end
    end
  end
  if seen > #kept then replace_head(queue, seen, kept) end
  for _, out in ipairs(all_out(queue)) do
    if is_older(queue, out) then
      drop_out(queue, out)
      lose(queue, out)
      forget(queue, out)
    end
  end
  local dead, left = key(queue, 'dead'), {}
  for _, value in ipairs(redis.call('LRANGE', dead, 0, -1)) do
    local _, position = struct.unpack('<dd', value)
    local id = string.sub(value, 33)
    if position >= mark then
      left[#left + 1] = value
    else
      count(id, -1)
      forget(queue, {id = id})
    end
  end
  redis.call('DEL', dead)
  many('RPUSH', dead, left)
  queue.changed = true
end

for _, name in ipairs(names) do
  local queue = queues[name]
  if queue and not queue.gone then
    if not mark or queue.latest < mark then remove(queue) else drop_older(queue) end
  end
end
flush()
return redis.call('EXISTS', TRASH)
