-- The registry's keys and records in one partition. docs: README.md, "Key layout".
local HEADS = base .. ':r:heads'
local DOCS = base .. ':r:docs'
local TERMS = base .. ':r:terms'
local ORDER = base .. ':r:order'
local EXPIRY = base .. ':r:expiry'
local STATE = base .. ':r:state'
local FIELDS = base .. ':r:fields'
local INDEX = base .. ':r:index:'
local DAY_MS = 86400000
local HOUR_MS = 3600000

-- A version of the indexed fields is a moment, so that no version of a namespace that was wiped comes again.
local function next_version()
  local last = tonumber(redis.call('HGET', STATE, 'version') or '0')
  redis.call('HSET', STATE, 'version', whole(math.max(last + 1, clock())))
end

-- registration id, address, owner, revision, registered at, updated at
local function split(head)
  local parts, from = {}, 1
  for i = 1, 5 do
    local at = string.find(head, '\0', from, true)
    parts[i] = string.sub(head, from, at - 1)
    from = at + 1
  end
  parts[6] = string.sub(head, from)
  return parts
end

local function registration_id(head)
  return string.sub(head, 1, string.find(head, '\0', 1, true) - 1)
end

-- The member of the order and, after the value, of the indexes: identity, registration id and address.
local function target(identity, parts)
  return identity .. '\0' .. parts[1] .. '\0' .. parts[2]
end

-- Calls act(key of the index, encoded value) for each term.
local function each_term(terms, act)
  local at = 1
  while at <= #terms do
    local field, length = struct.unpack('>I2I2', terms, at)
    act(INDEX .. field, string.sub(terms, at + 4, at + 3 + length))
    at = at + 4 + length
  end
end

-- What is to be taken out of, and put into, each index.
local function changes()
  return {out = {}, into = {}}
end

local function withdraw(changed, terms, member)
  each_term(terms, function(key, value)
    local list = changed.out[key] or {}
    changed.out[key] = list
    list[#list + 1] = value .. member
  end)
end

local function file(changed, terms, member)
  each_term(terms, function(key, value)
    local list = changed.into[key] or {}
    changed.into[key] = list
    list[#list + 1] = '0'
    list[#list + 1] = value .. member
  end)
end

local function apply(changed)
  for key, list in pairs(changed.out) do many('ZREM', key, list) end
  for key, list in pairs(changed.into) do many('ZADD', key, list) end
end

-- Nobody sweeps a namespace whose proxies are gone. Where everything in the partition expires, its keys go a day
-- after the last of it has, on the hour: all at the same moment, and seldom changed. Every script that writes calls
-- this, so no key is left out.
local function let_go_in_the_end()
  local total = redis.call('HLEN', HEADS)
  local at
  if total > 0 and redis.call('ZCARD', EXPIRY) == total then
    local last = redis.call('ZRANGE', EXPIRY, -1, -1, 'WITHSCORES')[2]
    at = math.ceil((tonumber(last) / 1000 + DAY_MS) / HOUR_MS) * HOUR_MS
  end
  local keys = {HEADS, DOCS, TERMS, ORDER, EXPIRY, STATE, FIELDS}
  for _, described in ipairs(redis.call('HVALS', FIELDS)) do
    keys[#keys + 1] = INDEX .. string.match(described, '^%d+')
  end
  for _, key in ipairs(keys) do
    local is = redis.call('PEXPIRETIME', key)
    if at and is ~= -2 and is ~= at then redis.call('PEXPIREAT', key, whole(at)) end
    if not at and is > 0 then redis.call('PERSIST', key) end
  end
end

-- Removes what is stored of identities. heads and terms are theirs, in order.
local function remove(identities, heads, terms)
  if #identities == 0 then return end
  local changed, members = changes(), {}
  for i, identity in ipairs(identities) do
    local member = target(identity, split(heads[i]))
    members[i] = member
    if terms[i] then withdraw(changed, terms[i], member) end
  end
  many('HDEL', HEADS, identities)
  many('HDEL', DOCS, identities)
  many('HDEL', TERMS, identities)
  many('ZREM', EXPIRY, identities)
  many('ZREM', ORDER, members)
  apply(changed)
end
