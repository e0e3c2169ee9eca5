-- Stores registrations, each with its precondition.
-- ARGV: version of the fields, limit of registrations or -1, then of each write: identity, metadata, registration
-- id, address, owner, ttl in microseconds or '' or 'K' (keep), 'A' (absent) or '*' or a revision, terms.
local now = clock()
local state = redis.call('HMGET', STATE, 'version', 'revision')
if (state[1] or '0') ~= ARGV[1] then
  return redis.error_reply('OLDFIELDS the indexed fields have changed')
end
local revision = tonumber(state[2] or '0')
local limit = tonumber(ARGV[2])

local identities = {}
for i = 3, #ARGV, 8 do identities[#identities + 1] = ARGV[i] end
local heads = redis.call('HMGET', HEADS, unpack(identities))
local expiries = redis.call('ZMSCORE', EXPIRY, unpack(identities))
local terms = redis.call('HMGET', TERMS, unpack(identities))

-- What was stored of each identity, and what is to be.
local was, is = {}, {}
for n, identity in ipairs(identities) do
  if not was[identity] then
    local parts = heads[n] and split(heads[n])
    was[identity] = {parts = parts, expiry = tonumber(expiries[n] or nil), terms = terms[n] or ''}
    is[identity] = was[identity]
  end
end

local held
local function has_room()
  if limit < 0 then return true end
  held = held or redis.call('HLEN', HEADS) - redis.call('ZCOUNT', EXPIRY, '-inf', whole(now))
  return held < limit
end

local function current(identity, record)
  local doc = record.doc or redis.call('HGET', DOCS, identity)
  return {table.concat(record.parts, '\0'), doc, record.expiry and whole(record.expiry) or ''}
end

local function write(i)
  local identity, ttl, condition = ARGV[i], ARGV[i + 5], ARGV[i + 6]
  local record = is[identity]
  local live = record.parts and not (record.expiry and record.expiry <= now)
  if condition == 'A' then
    if live then return {'E', current(identity, record)} end
  elseif condition ~= '*' then
    if not live then return {'N'} end
    if record.parts[4] ~= condition then return {'C', current(identity, record)} end
  end
  if not live then
    if not has_room() then return {'Q'} end
    held = held and held + 1
  end
  revision = math.max(revision + 1, now)
  local registered = whole(now)
  if live and condition ~= 'A' and condition ~= '*' then registered = record.parts[5] end
  local expiry
  if ttl == 'K' then
    expiry = record.expiry
  elseif ttl ~= '' then
    expiry = now + tonumber(ttl)
  end
  is[identity] = {
    parts = {ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], whole(revision), registered, whole(now)},
    expiry = expiry,
    doc = ARGV[i + 1],
    terms = ARGV[i + 7],
  }
  local answer = whole(revision) .. '\0' .. registered .. '\0' .. whole(now) .. '\0' .. (expiry and whole(expiry) or '')
  if live then answer = answer .. '\0' .. record.parts[1] .. '\0' .. record.parts[2] end
  return answer
end

local answers = {}
for n = 1, #identities do answers[n] = write(3 + (n - 1) * 8) end

local new_heads, new_docs, new_terms, no_terms, new_expiries, no_expiry = {}, {}, {}, {}, {}, {}
local leaving, joining, changed = {}, {}, changes()
local function append(list, first, second)
  list[#list + 1] = first
  list[#list + 1] = second
end
for identity, record in pairs(is) do
  local old = was[identity]
  if record ~= old then
    append(new_heads, identity, table.concat(record.parts, '\0'))
    append(new_docs, identity, record.doc)
    if record.terms ~= '' then append(new_terms, identity, record.terms)
    elseif old.terms ~= '' then no_terms[#no_terms + 1] = identity end
    if record.expiry then append(new_expiries, whole(record.expiry), identity)
    elseif old.expiry then no_expiry[#no_expiry + 1] = identity end
    local before = old.parts and target(identity, old.parts)
    local after = target(identity, record.parts)
    if before ~= after then
      if before then leaving[#leaving + 1] = before end
      append(joining, '0', after)
    end
    if before ~= after or old.terms ~= record.terms then
      if before then withdraw(changed, old.terms, before) end
      file(changed, record.terms, after)
    end
  end
end
if #new_heads > 0 then
  many('HSET', HEADS, new_heads)
  many('HSET', DOCS, new_docs)
  many('HSET', TERMS, new_terms)
  many('HDEL', TERMS, no_terms)
  many('ZADD', EXPIRY, new_expiries)
  many('ZREM', EXPIRY, no_expiry)
  many('ZREM', ORDER, leaving)
  many('ZADD', ORDER, joining)
  apply(changed)
  redis.call('HSET', STATE, 'revision', whole(revision))
  let_go_in_the_end()
end
return answers
