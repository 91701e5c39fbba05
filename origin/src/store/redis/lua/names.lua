#!lua flags=no-writes
-- The files of the room.   K: meta names   -> path, file, ...; error COLD
if redis.call('HGET', KEYS[1], 'st') ~= 'R' then return redis.error_reply('COLD room') end
local names = redis.call('HGETALL', KEYS[2])
return names
