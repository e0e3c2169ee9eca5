-- Where a partition stands: version of the fields, latest revision, how many are stored, how many have expired, and
-- the moment.
local state = redis.call('HMGET', STATE, 'version', 'revision')
local now = whole(clock())
return {state[1] or '0', state[2] or '0', redis.call('HLEN', HEADS), redis.call('ZCOUNT', EXPIRY, '-inf', now), now}
