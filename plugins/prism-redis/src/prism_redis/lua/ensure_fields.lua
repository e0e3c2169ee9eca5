-- Adds fields to those that are indexed, as still to be built. ARGV: their paths.
-- Returns version, latest revision, and all fields with what is known of them: number and 'building' or 'ready'.
local added = false
for _, path in ipairs(ARGV) do
  if redis.call('HEXISTS', FIELDS, path) == 0 then
    local number = redis.call('HINCRBY', STATE, 'fields', 1)
    local ready = redis.call('EXISTS', HEADS) == 0 and 'ready' or 'building'
    redis.call('HSET', FIELDS, path, number .. ' ' .. ready)
    added = true
  end
end
if added then
  next_version()
  let_go_in_the_end()
end
local state = redis.call('HMGET', STATE, 'version', 'revision')
return {state[1] or '0', state[2] or '0', redis.call('HGETALL', FIELDS)}
