#!lua flags=no-writes
-- Every origin with a lease and what it said last of who is there, empty if nothing.
-- K: meta members listed   -> origin, list, ...; error COLD
if redis.call('HGET', KEYS[1], 'st') ~= 'R' then return redis.error_reply('COLD room') end
local reply = {}
for _, origin in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. dec(now_us()), '+inf')) do
  reply[#reply + 1] = origin
  reply[#reply + 1] = redis.call('HGET', KEYS[3], origin) or ''
end
return reply
