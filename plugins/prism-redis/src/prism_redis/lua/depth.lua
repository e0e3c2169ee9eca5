-- How many messages each queue holds. ARGV: dead letters, attempts, names.
policy = {max_dead_letters = tonumber(ARGV[1]), max_attempts = tonumber(ARGV[2])}
local names, answers = {}, {}
for i = 3, #ARGV do names[#names + 1] = ARGV[i] end
load_queues(names)
for i, name in ipairs(names) do
  local queue = queues[name]
  if queue then refresh(queue) end
  answers[i] = queue and queue.size or 0
end
flush()
return answers
