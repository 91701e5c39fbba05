#!lua
-- Opens the room on the staged bases, all in one step, with a new epoch and seq 0.
-- K: meta members files dirty names origins events, (base, log) of each file
-- A: loader token, timestamp to stay above, publish, channel, (file, path) of each
-- -> {epoch, ts}; error STALE if the token is no longer the loader's or a staged base has vanished
if redis.call('HGET', KEYS[1], 'lk') ~= ARGV[1] then return redis.error_reply('STALE loader') end
for i = 8, #KEYS, 2 do
  if redis.call('EXISTS', KEYS[i]) == 0 then return redis.error_reply('STALE loader') end
end
local now = now_us()
local epoch, ts = dec(now), dec(math.max(now, tonumber(ARGV[2]) + 1))
for i = 3, 7 do redis.call('UNLINK', KEYS[i]) end
for i = 8, #KEYS, 2 do
  local file, path = ARGV[i - 3], ARGV[i - 2]
  redis.call('PERSIST', KEYS[i])
  redis.call('UNLINK', KEYS[i + 1])
  redis.call('ZADD', KEYS[3], ts, file)
  redis.call('HSET', KEYS[5], path, file)
end
redis.call('HDEL', KEYS[1], 'lk', 'lo', 'lx')
redis.call('HSET', KEYS[1], 'v', 1, 'st', 'R', 'e', epoch, 's', 0, 't', ts, 'bt', ts, 'tr', 0, 'rid', run_id())
redis.call('PERSIST', KEYS[1])
redis.call('PERSIST', KEYS[2])
redis.call(ARGV[3], ARGV[4], '\1E' .. struct.pack('>I8I8', now, 0))
return {epoch, ts}
