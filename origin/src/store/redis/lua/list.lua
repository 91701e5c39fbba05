#!lua
-- Says who is at an origin, for as long as its lease lasts.
-- K: meta members listed   A: origin, list   -> OK; error COLD (also if the origin has no lease)
local over = redis.call('ZSCORE', KEYS[2], ARGV[1])
if redis.call('HGET', KEYS[1], 'st') ~= 'R' or not over or tonumber(over) <= now_us() then
  return redis.error_reply('COLD room')
end
redis.call('HSET', KEYS[3], ARGV[1], ARGV[2])
return 'OK'
