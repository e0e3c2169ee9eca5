-- Says of a field that its index is complete. ARGV: its path, its number.
if redis.call('HGET', FIELDS, ARGV[1]) == ARGV[2] .. ' building' then
  redis.call('HSET', FIELDS, ARGV[1], ARGV[2] .. ' ready')
  next_version()
end
return 1
