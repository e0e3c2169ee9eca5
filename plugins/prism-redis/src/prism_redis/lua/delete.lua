-- Removes registrations. ARGV of each: identity, '*' or '=' and a registration id.
local now = clock()
local identities = {}
for i = 1, #ARGV, 2 do identities[#identities + 1] = ARGV[i] end
local heads = redis.call('HMGET', HEADS, unpack(identities))
local expiries = redis.call('ZMSCORE', EXPIRY, unpack(identities))
local terms = redis.call('HMGET', TERMS, unpack(identities))
local answers, gone = {}, {}
local leaving, their_heads, their_terms = {}, {}, {}
for n, identity in ipairs(identities) do
  local fence, head, expiry = ARGV[n * 2], heads[n], tonumber(expiries[n] or nil)
  if not head or gone[identity] or (expiry and expiry <= now) then
    answers[n] = 'N'
  elseif fence ~= '*' and fence ~= '=' .. registration_id(head) then
    answers[n] = 'S'
  else
    local parts = split(head)
    answers[n] = {parts[1], parts[2]}
    gone[identity] = true
    leaving[#leaving + 1] = identity
    their_heads[#their_heads + 1] = head
    their_terms[#their_terms + 1] = terms[n]
  end
end
if #leaving > 0 then
  remove(leaving, their_heads, their_terms)
  let_go_in_the_end()
end
return answers
