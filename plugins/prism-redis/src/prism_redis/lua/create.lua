-- Makes queues; notes of those there are that they were asked for. ARGV: names.
load_queues(ARGV)
local position = next_position()
for _, name in ipairs(ARGV) do
  local queue = queues[name]
  if not queue then
    queue = {
      name = name, number = redis.call('HINCRBY', STATE, 'number', 1), size = 0, fresh = 0, next_expiry = NEVER,
      check_at = NEVER, newest_expiry = 0, mixed = 0, again = 0,
    }
    queues[name] = queue
  end
  queue.latest, queue.changed = position, true
end
flush()
return 1
