-- The queues of one partition. docs: README.md, "Key layout".
--
-- A message is stored once, in the stream, however many queues it is in; refs counts what still points to it.
-- A queue is what was never handed out (a list), what was (a hash, and a sorted set by the moment it is visible),
-- and its dead letters (a list). It has a number of its own, so a queue made anew shares nothing with its namesake.
local NAMES = base .. ':q:names'
local STATE = base .. ':q:state'
local LOG = base .. ':q:log'
local REFS = base .. ':q:refs'
local GOT = base .. ':q:got:'
local TRASH = base .. ':q:trash'
local NEVER = 9007199254740991
local WINDOW_MS = 240000

local now = clock()
local policy = {}
local queues, counted = {}, {}

local function key(queue, part)
  return base .. ':q:' .. part .. ':' .. whole(queue.number)
end

local function next_position()
  local position = math.max(tonumber(redis.call('HGET', STATE, 'position') or '0') + 1, now)
  redis.call('HSET', STATE, 'position', whole(position))
  return position
end

local QUEUE = '<ddddddddd'

local function unpacked(name, packed)
  local queue = {name = name}
  queue.number, queue.latest, queue.size, queue.fresh, queue.next_expiry, queue.check_at, queue.newest_expiry,
    queue.mixed, queue.again = struct.unpack(QUEUE, packed)
  return queue
end

local function packed(queue)
  return struct.pack(QUEUE, queue.number, queue.latest, queue.size, queue.fresh, queue.next_expiry, queue.check_at,
    queue.newest_expiry, queue.mixed, queue.again)
end

-- Reads queues by name; queues[name] is nil for one that there isn't.
local function load_queues(names)
  if #names == 0 then return end
  for i, found in ipairs(redis.call('HMGET', NAMES, unpack(names))) do
    if found and not queues[names[i]] then queues[names[i]] = unpacked(names[i], found) end
  end
end

-- What a queue holds: sequence number, position, expiry (of a gap, how many were dropped), message id ('' for a gap).
local ITEM = '<ddd'

local function item_of(packed_item)
  local sequence, position, dies_at = struct.unpack(ITEM, packed_item)
  return {sequence = sequence, position = position, dies_at = dies_at, id = string.sub(packed_item, 25)}
end

local function pack_item(item)
  return struct.pack(ITEM, item.sequence, item.position, item.dies_at) .. item.id
end

-- The same once it was handed out, with attempts, how many leases there were, and whether it is leased now.
local OUT = '<dddddd'

local function out_of(packed_out)
  local out = {}
  out.sequence, out.position, out.dies_at, out.attempts, out.leases, out.leased = struct.unpack(OUT, packed_out)
  out.id = string.sub(packed_out, 49)
  return out
end

local function pack_out(out)
  return struct.pack(OUT, out.sequence, out.position, out.dies_at, out.attempts, out.leases, out.leased) .. out.id
end

local function count(id, change)
  counted[id] = (counted[id] or 0) + change
end

-- Notes that an item leaves the queue; returns how many messages it stood for.
local function lose(queue, item)
  if item.id == '' then return item.dies_at end
  queue.size = queue.size - 1
  count(item.id, -1)
  return 1
end

local function put_out(queue, out, visible_at)
  local name = whole(out.sequence)
  redis.call('HSET', key(queue, 'out'), name, pack_out(out))
  redis.call('ZADD', key(queue, 'due'), whole(visible_at), name)
  queue.due_changed = true
  queue.changed = true
end

local function drop_out(queue, out)
  local name = whole(out.sequence)
  redis.call('HDEL', key(queue, 'out'), name)
  redis.call('ZREM', key(queue, 'due'), name)
  queue.due_changed = true
  queue.changed = true
end

local function all_out(queue)
  local found = {}
  if queue.check_at == NEVER then return found end
  for _, value in ipairs(redis.call('HVALS', key(queue, 'out'))) do found[#found + 1] = out_of(value) end
  table.sort(found, function(a, b) return a.sequence < b.sequence end)
  return found
end

-- Turns what was handed out into a gap, which is handed out at once; a lease on it has ended.
local function become_gap(queue, out)
  out.dies_at = lose(queue, out)
  out.id, out.leased, out.attempts = '', 0, 0
  put_out(queue, out, now)
end

local function bury(queue, out)
  drop_out(queue, out)
  queue.size = queue.size - 1
  local dead = key(queue, 'dead')
  redis.call('RPUSH', dead, struct.pack('<dddd', out.sequence, out.position, out.attempts, now) .. out.id)
  while redis.call('LLEN', dead) > policy.max_dead_letters do
    count(string.sub(redis.call('LPOP', dead), 33), -1)
  end
end

-- Leases that have ended: given up after too many attempts, else to be handed out again.
local function end_leases(queue)
  local names = redis.call('ZRANGE', key(queue, 'due'), '-inf', whole(now), 'BYSCORE')
  if #names == 0 then return end
  for first = 1, #names, STEP do
    local last = math.min(first + STEP - 1, #names)
    for _, value in ipairs(redis.call('HMGET', key(queue, 'out'), unpack(names, first, last))) do
      local out = out_of(value)
      if out.id ~= '' and out.attempts >= policy.max_attempts then
        bury(queue, out)
      elseif out.leased == 1 then
        out.leased = 0
        redis.call('HSET', key(queue, 'out'), whole(out.sequence), pack_out(out))
        if out.id ~= '' then queue.next_expiry = math.min(queue.next_expiry, out.dies_at) end
        queue.changed = true
      end
    end
  end
end

-- The list after its first `seen` items were replaced by those kept.
local function replace_head(queue, seen, kept)
  local list = key(queue, 'new')
  redis.call('LTRIM', list, seen, -1)
  for i = #kept, 1, -1 do redis.call('LPUSH', list, pack_item(kept[i])) end
  queue.fresh = queue.fresh - seen + #kept
end

-- What has timed out becomes gaps, except what is leased. Where expiries are in the order of the list, only its
-- head is looked at.
local function time_out(queue)
  queue.next_expiry = NEVER
  for _, out in ipairs(all_out(queue)) do
    if out.leased == 0 and out.id ~= '' then
      if out.dies_at <= now then become_gap(queue, out)
      else queue.next_expiry = math.min(queue.next_expiry, out.dies_at) end
    end
  end
  local kept, seen, lost, done = {}, 0, false, false
  while not done and seen < queue.fresh do
    for _, value in ipairs(redis.call('LRANGE', key(queue, 'new'), seen, seen + 499)) do
      local item = item_of(value)
      if item.id == '' or item.dies_at <= now then
        lost = lost or item.id ~= ''
        local dropped, last = lose(queue, item), kept[#kept]
        if last and last.id == '' then
          last.dies_at, last.position, last.sequence = last.dies_at + dropped, item.position, item.sequence
        else
          kept[#kept + 1] = {sequence = item.sequence, position = item.position, dies_at = dropped, id = ''}
        end
      else
        queue.next_expiry = math.min(queue.next_expiry, item.dies_at)
        if queue.mixed == 0 then
          done = true
          break
        end
        kept[#kept + 1] = item
      end
      seen = seen + 1
    end
  end
  if lost then replace_head(queue, seen, kept) end
  queue.changed = true
end

local function refresh(queue)
  if queue.check_at <= now then end_leases(queue) end
  if queue.next_expiry <= now then time_out(queue) end
end

-- Makes room for one message: what has timed out goes, else the oldest never handed out, else the oldest that was.
local function make_room(queue)
  refresh(queue)
  local gap
  while queue.size >= policy.max_messages and queue.fresh > 0 do
    local item = item_of(redis.call('LPOP', key(queue, 'new')))
    queue.fresh = queue.fresh - 1
    local dropped = lose(queue, item) + (gap and gap.dies_at or 0)
    gap = {sequence = item.sequence, position = item.position, dies_at = dropped, id = ''}
  end
  if gap then
    redis.call('LPUSH', key(queue, 'new'), pack_item(gap))
    queue.fresh = queue.fresh + 1
  end
  if queue.size < policy.max_messages then return end
  for _, out in ipairs(all_out(queue)) do
    if out.id ~= '' then
      become_gap(queue, out)
      return
    end
  end
end

-- Appends a message. Its reference is counted by whoever calls.
local function put(queue, id, position, dies_at)
  if queue.size >= policy.max_messages then make_room(queue) end
  redis.call('RPUSH', key(queue, 'new'), struct.pack(ITEM, position, position, dies_at) .. id)
  if queue.fresh == 0 then
    queue.newest_expiry, queue.mixed = dies_at, 0
  elseif dies_at < queue.newest_expiry then
    queue.mixed = 1
  else
    queue.newest_expiry = dies_at
  end
  queue.fresh, queue.size, queue.latest = queue.fresh + 1, queue.size + 1, position
  queue.next_expiry = math.min(queue.next_expiry, dies_at)
  queue.changed = true
end

-- Where a message is in the log, and its fields; nil where somebody has removed it by hand.
local function read_message(id)
  local ref = redis.call('HGET', REFS, id)
  if not ref then return nil end
  local at = whole(struct.unpack('<dd', ref)) .. '-0'
  local found = redis.call('XRANGE', LOG, at, at)[1]
  return found and found[2]
end

-- Writes back what has changed.
local function flush()
  local changed = {}
  for name, queue in pairs(queues) do
    if queue.changed and not queue.gone then
      if queue.due_changed then
        local first = redis.call('ZRANGE', key(queue, 'due'), 0, 0, 'WITHSCORES')
        queue.check_at = first[2] and tonumber(first[2]) or NEVER
      end
      if queue.again == 1 and queue.size == 0 then
        redis.call('DEL', key(queue, 'again'))
        queue.again = 0
      end
      changed[#changed + 1] = name
      changed[#changed + 1] = packed(queue)
    end
  end
  many('HSET', NAMES, changed)
  for id, change in pairs(counted) do
    local ref = change ~= 0 and redis.call('HGET', REFS, id)
    if ref then
      local position, refs = struct.unpack('<dd', ref)
      if refs + change > 0 then
        redis.call('HSET', REFS, id, struct.pack('<dd', position, refs + change))
      else
        redis.call('HDEL', REFS, id)
        redis.call('XDEL', LOG, whole(position) .. '-0')
        redis.call('PEXPIRE', GOT .. id, WINDOW_MS)
      end
    end
  end
end
