-- Files records in an index that is being built. ARGV: number of the field, then of each: identity, revision, value.
-- A record that was written since has been filed by that write.
local key = INDEX .. ARGV[1]
local number = tonumber(ARGV[1])
for i = 2, #ARGV, 3 do
  local identity, value = ARGV[i], ARGV[i + 2]
  local head = redis.call('HGET', HEADS, identity)
  local parts = head and split(head)
  if parts and parts[4] == ARGV[i + 1] then
    local terms = redis.call('HGET', TERMS, identity) or ''
    local filed = false
    each_term(terms, function(filed_key) filed = filed or filed_key == key end)
    if not filed then
      redis.call('HSET', TERMS, identity, terms .. struct.pack('>I2I2', number, #value) .. value)
      redis.call('ZADD', key, 0, value .. target(identity, parts))
    end
  end
end
let_go_in_the_end()
return 1
