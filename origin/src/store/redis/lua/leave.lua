#!lua flags=allow-oom
-- Ends the lease of an origin, and removes the room if it was the last and nothing is dirty.
-- K: meta members origins files dirty names events listed, (log, base) of each named file   A: origin, epoch, named files
-- -> {GONE} | {MEMBERS, n} | {NOTMINE}: not populated or in another epoch | {DIRTY, files} |
--    {FILES, files}: call again and name these
redis.call('ZREM', KEYS[2], ARGV[1])
expire(KEYS[2], KEYS[8], now_us())
redis.call('HDEL', KEYS[3], 'b:' .. ARGV[1])
redis.call('HDEL', KEYS[8], ARGV[1])
local m = redis.call('HMGET', KEYS[1], 'st', 'e', 'lo')
if m[1] == 'L' and m[3] == ARGV[1] then redis.call('HDEL', KEYS[1], 'lk', 'lo', 'lx') end
local left = redis.call('ZCARD', KEYS[2])
if left > 0 then return {'MEMBERS', left} end
if m[1] == 'L' and (m[3] == ARGV[1] or not m[3]) then redis.call('UNLINK', KEYS[1]) end
if m[1] ~= 'R' or m[2] ~= ARGV[2] then return {'NOTMINE'} end
local dirty = redis.call('ZRANGE', KEYS[5], 0, -1)
if #dirty > 0 then return {'DIRTY', dirty} end
local named = {}
for i = 3, #ARGV do named[ARGV[i]] = true end
local files = redis.call('ZRANGE', KEYS[4], 0, -1)
for _, file in ipairs(files) do
  if not named[file] then return {'FILES', files} end
end
for i = 1, #KEYS do redis.call('UNLINK', KEYS[i]) end
return {'GONE'}
