-- Moves expiries. ARGV of each renewal: identity, '*' or '=' and a registration id, ttl in microseconds or ''.
local now = clock()
local identities = {}
for i = 1, #ARGV, 3 do identities[#identities + 1] = ARGV[i] end
local heads = redis.call('HMGET', HEADS, unpack(identities))
local expiries = redis.call('ZMSCORE', EXPIRY, unpack(identities))
local answers, moved, removed = {}, {}, {}
for n, identity in ipairs(identities) do
  local fence, ttl = ARGV[n * 3 - 1], ARGV[n * 3]
  local head, expiry = heads[n], tonumber(expiries[n] or nil)
  if not head or (expiry and expiry <= now) then
    answers[n] = 'N'
  elseif fence ~= '*' and fence ~= '=' .. registration_id(head) then
    answers[n] = 'S'
  elseif ttl == '' then
    removed[#removed + 1] = identity
    answers[n] = ''
  else
    local at = whole(now + tonumber(ttl))
    moved[#moved + 1] = at
    moved[#moved + 1] = identity
    answers[n] = at
  end
end
many('ZREM', EXPIRY, removed)
many('ZADD', EXPIRY, moved)
if #moved + #removed > 0 then let_go_in_the_end() end
return answers
