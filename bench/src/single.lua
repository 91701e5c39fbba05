-- One update: numbered, dated, logged, its file changed and dirty, published.
-- K: meta, log of the file, files, dirty   A: epoch, file, update, channel   -> {seq, ts}
local m = redis.call('HMGET', KEYS[1], 'st', 'e', 't')
if m[1] ~= 'R' then return redis.error_reply('COLD room') end
if m[2] ~= ARGV[1] then return redis.error_reply('EPOCH ' .. m[2]) end
local time = redis.call('TIME')
local now, last = time[1] * 1000000 + time[2], tonumber(m[3])
if now <= last then now = last + 1 end
local ts = string.format('%.0f', now)
local seq = redis.call('HINCRBY', KEYS[1], 's', 1)
redis.call('HSET', KEYS[1], 't', ts)
redis.call('XADD', KEYS[2], ts .. '-' .. seq, 'd', ARGV[3])
redis.call('ZADD', KEYS[3], ts, ARGV[2])
redis.call('ZADD', KEYS[4], 'NX', ts, ARGV[2])
redis.call('PUBLISH', ARGV[4], struct.pack('>I8I8I1', seq, now, #ARGV[2]) .. ARGV[2] .. ARGV[3])
return {seq, ts}
