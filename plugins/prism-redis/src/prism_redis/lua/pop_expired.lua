-- Removes expired registrations and returns them: identity, head, metadata, expiry of each. ARGV: how many at most.
local due = redis.call('ZRANGE', EXPIRY, '-inf', whole(clock()), 'BYSCORE', 'LIMIT', 0, ARGV[1], 'WITHSCORES')
if #due == 0 then return {} end
local identities, scores = {}, {}
for i = 1, #due, 2 do
  identities[#identities + 1] = due[i]
  scores[#scores + 1] = whole(tonumber(due[i + 1]))
end
local heads = redis.call('HMGET', HEADS, unpack(identities))
local docs = redis.call('HMGET', DOCS, unpack(identities))
remove(identities, heads, redis.call('HMGET', TERMS, unpack(identities)))
let_go_in_the_end()
return {identities, heads, docs, scores}
