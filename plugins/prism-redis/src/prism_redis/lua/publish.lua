-- Publishes one payload to many channels. ARGV: PUBLISH or SPUBLISH, payload, channels.
-- Returns how many took it on each channel, nothing where nobody did anywhere.
local command, payload = ARGV[1], ARGV[2]
local counts, any = {}, false
for i = 3, #ARGV do
  local count = redis.call(command, ARGV[i], payload)
  counts[i - 2] = count
  any = any or count > 0
end
return any and counts or {}
