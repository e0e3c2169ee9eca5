-- Ends or extends leases. ARGV: 'ack', 'nack', 'release' or 'extend', microseconds (delay or visibility), then of
-- each lease: name, number of the queue, sequence number, which lease it is. Returns 1 where it took effect, else 0.
local action, duration = ARGV[1], tonumber(ARGV[2])
local names, answers = {}, {}
for i = 3, #ARGV, 4 do names[#names + 1] = ARGV[i] end
load_queues(names)

local function act(queue, name, out)
  if action == 'ack' then
    redis.call('HDEL', key(queue, 'out'), name)
    redis.call('ZREM', key(queue, 'due'), name)
    lose(queue, out)
  elseif action == 'extend' then
    redis.call('ZADD', key(queue, 'due'), whole(now + duration), name)
  else
    out.leased = 0
    if action == 'release' then out.attempts = out.attempts - 1 end
    redis.call('HSET', key(queue, 'out'), name, pack_out(out))
    redis.call('ZADD', key(queue, 'due'), whole(now + duration), name)
    if out.id ~= '' then queue.next_expiry = math.min(queue.next_expiry, out.dies_at) end
  end
  queue.due_changed, queue.changed = true, true
end

for n, queue_name in ipairs(names) do
  local at = 3 + (n - 1) * 4
  local queue, name = queues[queue_name], ARGV[at + 2]
  answers[n] = 0
  if queue and whole(queue.number) == ARGV[at + 1] then
    local value = redis.call('HGET', key(queue, 'out'), name)
    local out = value and out_of(value)
    if out and out.leased == 1 and whole(out.leases) == ARGV[at + 3]
      and tonumber(redis.call('ZSCORE', key(queue, 'due'), name)) > now then
      act(queue, name, out)
      answers[n] = 1
    end
  end
end
flush()
return answers
