-- Hands out the oldest visible messages of queues. ARGV: how many of each, visibility in microseconds, dead letters,
-- attempts, bytes of content after which it stops, names.
-- Returns the leases (which name, token, attempt, message id or '', how many dropped), the messages they are of (id
-- and fields), and how many names were dealt with.
local limit, visible_until = tonumber(ARGV[1]), now + tonumber(ARGV[2])
policy = {max_dead_letters = tonumber(ARGV[3]), max_attempts = tonumber(ARGV[4])}
local budget = tonumber(ARGV[5])
local names = {}
for i = 6, #ARGV do names[#names + 1] = ARGV[i] end
load_queues(names)

local leases, messages, contents = {}, {}, {}

-- Whether a message can be read; the first time, adds it to the answer.
local function is_there(id)
  if contents[id] == nil then
    local fields = read_message(id)
    contents[id] = fields ~= nil
    if fields then
      messages[#messages + 1] = {id, fields}
      budget = budget - #fields[4]
    end
  end
  return contents[id]
end

local function hand_out(queue, which, out)
  out.leased, out.leases, out.attempts = 1, out.leases + 1, out.attempts + 1
  if out.id ~= '' and not is_there(out.id) then
    queue.size = queue.size - 1
    out.id, out.dies_at = '', 1
  end
  leases[#leases + 1] = which - 1
  leases[#leases + 1] = whole(queue.number) .. '.' .. whole(out.sequence) .. '.' .. whole(out.leases)
  leases[#leases + 1] = out.attempts
  leases[#leases + 1] = out.id
  leases[#leases + 1] = out.id == '' and out.dies_at or 0
end

local function take(queue, which)
  refresh(queue)
  local taken = {}
  if queue.check_at <= now or queue.due_changed then
    local due = redis.call('ZRANGE', key(queue, 'due'), '-inf', whole(now), 'BYSCORE')
    local back = {}
    for first = 1, #due, STEP do
      for _, value in ipairs(redis.call('HMGET', key(queue, 'out'), unpack(due, first, math.min(first + STEP - 1, #due)))) do
        back[#back + 1] = out_of(value)
      end
    end
    table.sort(back, function(a, b) return a.sequence < b.sequence end)
    for i = 1, math.min(limit, #back) do taken[i] = back[i] end
  end
  local wanted = math.min(limit - #taken, queue.fresh)
  if wanted > 0 then
    for _, value in ipairs(redis.call('LPOP', key(queue, 'new'), wanted)) do
      local out = item_of(value)
      out.attempts, out.leases = 0, 0
      taken[#taken + 1] = out
      queue.fresh = queue.fresh - 1
    end
  end
  if #taken == 0 then return end
  local outs, dues = {}, {}
  for _, out in ipairs(taken) do
    hand_out(queue, which, out)
    local name = whole(out.sequence)
    outs[#outs + 1] = name
    outs[#outs + 1] = pack_out(out)
    dues[#dues + 1] = whole(visible_until)
    dues[#dues + 1] = name
  end
  many('HSET', key(queue, 'out'), outs)
  many('ZADD', key(queue, 'due'), dues)
  queue.due_changed, queue.changed = true, true
end

local dealt = 0
for which, name in ipairs(names) do
  local queue = queues[name]
  if queue and (queue.fresh > 0 or queue.check_at <= now) then take(queue, which) end
  dealt = which
  if budget <= 0 then break end
end
flush()
return {leases, messages, dealt}
