#!lua flags=allow-oom
-- Keeps everybody from joining for some time, or no longer; whoever is populating the room has lost its token.
-- K: meta seal   A: ms (0: no longer)   -> OK
if redis.call('HGET', KEYS[1], 'st') == 'L' then redis.call('HDEL', KEYS[1], 'lk', 'lo', 'lx') end
redis.call('UNLINK', KEYS[2])
if tonumber(ARGV[1]) > 0 then
  redis.call('HSET', KEYS[2], 'v', 1)
  redis.call('PEXPIRE', KEYS[2], ARGV[1])
end
return 'OK'
