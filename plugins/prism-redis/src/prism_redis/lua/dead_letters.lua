-- The oldest dead letters of a queue. ARGV: dead letters, attempts, name, which is the first, how many at most.
-- Returns of each: attempts, died at, message id, fields of the message.
policy = {max_dead_letters = tonumber(ARGV[1]), max_attempts = tonumber(ARGV[2])}
load_queues({ARGV[3]})
local queue, answers = queues[ARGV[3]], {}
if not queue then return answers end
refresh(queue)
for _, value in ipairs(redis.call('LRANGE', key(queue, 'dead'), ARGV[4], ARGV[4] + ARGV[5] - 1)) do
  local _, _, attempts, died_at = struct.unpack('<dddd', value)
  local id = string.sub(value, 33)
  answers[#answers + 1] = {attempts, whole(died_at), id, read_message(id) or {}}
end
flush()
return answers
