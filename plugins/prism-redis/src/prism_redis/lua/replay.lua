-- Puts dead letters back at the end of their queue. ARGV: queue length, dead letters, attempts, ttl or '', name,
-- message ids. Returns how many there were.
policy = {max_messages = tonumber(ARGV[1]), max_dead_letters = tonumber(ARGV[2]), max_attempts = tonumber(ARGV[3])}
load_queues({ARGV[5]})
local queue = queues[ARGV[5]]
if not queue then return 0 end
refresh(queue)
local wanted, kept, found = {}, {}, {}
for i = 6, #ARGV do wanted[ARGV[i]] = true end
local dead = key(queue, 'dead')
for _, value in ipairs(redis.call('LRANGE', dead, 0, -1)) do
  local id = string.sub(value, 33)
  if wanted[id] then found[#found + 1] = id else kept[#kept + 1] = value end
end
if #found == 0 then
  flush()
  return 0
end
redis.call('DEL', dead)
many('RPUSH', dead, kept)
local dies_at = ARGV[4] == '' and NEVER or now + tonumber(ARGV[4])
for _, id in ipairs(found) do
  put(queue, id, next_position(), dies_at)
  redis.call('SADD', GOT .. id, whole(queue.number))
  redis.call('PERSIST', GOT .. id)
end
flush()
return #found
