#!lua flags=allow-oom
-- Takes a room that is gone out of the index, unless somebody has come since.   K: index   A: room, last seen
if redis.call('ZSCORE', KEYS[1], ARGV[1]) == ARGV[2] then return redis.call('ZREM', KEYS[1], ARGV[1]) end
return 0
