-- What every script begins with. KEYS[1] is the partition's tag; all keys derive from it, so all are on one node.
local base = KEYS[1]

-- The server's clock in microseconds. It stands still while a script runs.
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

local function whole(number)
  return string.format('%.0f', number)
end

-- One variadic command for a whole list. Lua's stack takes some 8,000 values; the step is a multiple of pairs.
local STEP = 4000
local function many(command, key, list)
  for i = 1, #list, STEP do
    redis.call(command, key, unpack(list, i, math.min(i + STEP - 1, #list)))
  end
end
