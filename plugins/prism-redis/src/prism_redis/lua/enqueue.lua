-- Appends one message to many queues. ARGV: message id, '1' or '0' whether its content follows, payload, content
-- type, sent at, delivery, sender, ttl in microseconds or '', queue length, dead letters, attempts, names.
-- Returns a letter for each name: E stored (or known), N no such queue; or 'CONTENT' where the content is needed.
local id, ttl = ARGV[1], ARGV[8]
policy = {max_messages = tonumber(ARGV[9]), max_dead_letters = tonumber(ARGV[10]), max_attempts = tonumber(ARGV[11])}
local names, numbers = {}, {}
for i = 12, #ARGV do names[#names + 1] = ARGV[i] end
load_queues(names)

local known = {}
if redis.call('EXISTS', GOT .. id) == 1 then
  for _, queue in pairs(queues) do numbers[#numbers + 1] = whole(queue.number) end
  if #numbers > 0 then
    for i, found in ipairs(redis.call('SMISMEMBER', GOT .. id, unpack(numbers))) do
      known[tonumber(numbers[i])] = found == 1
    end
  end
end

local stored = redis.call('HEXISTS', REFS, id) == 1
if not stored and ARGV[2] == '0' then
  for _, queue in pairs(queues) do
    if not known[queue.number] then return 'CONTENT' end
  end
end

local position = next_position()
local dies_at = ttl == '' and NEVER or now + tonumber(ttl)
local answers, receivers = {}, {}
for i, name in ipairs(names) do
  local queue = queues[name]
  if not queue then
    answers[i] = 'N'
  else
    answers[i] = 'E'
    if not known[queue.number] then
      known[queue.number] = true
      receivers[#receivers + 1] = whole(queue.number)
      put(queue, id, position, dies_at)
    elseif queue.latest < position then
      -- Where it still is, it counts as put in now: a removal that was marked before must leave it there.
      redis.call('HSET', key(queue, 'again'), id, whole(position))
      queue.latest, queue.again, queue.changed = position, 1, true
    end
  end
end
if #receivers > 0 then
  if not stored then
    redis.call('XADD', LOG, whole(position) .. '-0', 'id', id, 'payload', ARGV[3], 'content_type', ARGV[4],
      'sent_at', ARGV[5], 'delivery', ARGV[6], 'sender', ARGV[7])
    redis.call('HSET', REFS, id, struct.pack('<dd', position, 0))
  end
  count(id, #receivers)
  many('SADD', GOT .. id, receivers)
  redis.call('PERSIST', GOT .. id)
end
flush()
return table.concat(answers)
