#!lua flags=allow-oom
-- Keeps everybody from joining for some time, or no longer; whoever is populating the room has lost its token.
-- K: meta seal   A: ms (0: no longer)   -> OK
-- A room that is open has in mind that its deletion was begun, also when the seal has ended by itself.
local state = redis.call('HGET', KEYS[1], 'st')
if state == 'L' then redis.call('HDEL', KEYS[1], 'lk', 'lo', 'lx') end
redis.call('UNLINK', KEYS[2])
redis.call('HDEL', KEYS[1], 'dl')
if tonumber(ARGV[1]) > 0 then
  if state == 'R' then redis.call('HSET', KEYS[1], 'dl', 1) end
  redis.call('HSET', KEYS[2], 'v', 1)
  redis.call('PEXPIRE', KEYS[2], ARGV[1])
end
return 'OK'
