#!lua flags=allow-oom
-- Notes that a room is in use, for sweepers.   K: index   A: room
return redis.call('ZADD', KEYS[1], dec(now_us()), ARGV[1])
