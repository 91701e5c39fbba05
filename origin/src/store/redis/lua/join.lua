#!lua flags=allow-oom
-- Takes or renews the lease of an origin, makes it the loader if nobody is, and begins a new epoch if the
-- server is another one than the room was in.
-- K: meta members listed seal   A: origin, lease, loader token, loader lease, ms until an abandoned load vanishes, publish, channel
-- -> {READY, epoch, seq, ts} | {WAIT, µs left to the other loader} | {LOAD}: the caller is the loader;
-- error SEALED
if redis.call('EXISTS', KEYS[4]) == 1 then return redis.error_reply('SEALED room') end
local now = now_us()
expire(KEYS[2], KEYS[3], now)
redis.call('ZADD', KEYS[2], dec(now + tonumber(ARGV[2])), ARGV[1])
local m = redis.call('HMGET', KEYS[1], 'st', 'e', 's', 't', 'lx', 'lo', 'rid')
if m[1] == 'R' then
  local run, epoch = run_id(), m[2]
  if run ~= m[7] then
    epoch = dec(math.max(now, tonumber(epoch) + 1))
    redis.call('HSET', KEYS[1], 'e', epoch, 'rid', run)
    redis.call(ARGV[6], ARGV[7], '\1E' .. struct.pack('>I8I8', tonumber(epoch), tonumber(m[3])))
  end
  redis.call('PERSIST', KEYS[2])
  return {'READY', epoch, m[3], m[4]}
end
if m[1] == 'L' and m[5] and tonumber(m[5]) > now and m[6] ~= ARGV[1] then
  return {'WAIT', dec(tonumber(m[5]) - now)}
end
-- An origin that asks again while it is the loader has lost its token: it starts over with a new one.
redis.call('HSET', KEYS[1], 'st', 'L', 'lk', ARGV[3], 'lo', ARGV[1], 'lx', dec(now + tonumber(ARGV[4])))
redis.call('PEXPIRE', KEYS[1], ARGV[5])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
return {'LOAD'}
