#!lua flags=no-writes
-- The files changed since the last flush.   K: meta dirty   -> {epoch, ts, {file, since, ...}}; error COLD
local m = redis.call('HMGET', KEYS[1], 'st', 'e', 't')
if m[1] ~= 'R' then return redis.error_reply('COLD room') end
return {m[2], m[3], redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES')}
