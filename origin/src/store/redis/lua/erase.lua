#!lua flags=allow-oom
-- Removes a deleted room whatever its state, and tells its subscribers.
-- K: meta members origins files dirty names events listed, (log, base) of each named file, seal
-- A: publish, channel, named files
-- -> {GONE} | {FILES, files}: call again and name these
local named = {}
for i = 3, #ARGV do named[ARGV[i]] = true end
local files = redis.call('ZRANGE', KEYS[4], 0, -1)
for _, file in ipairs(files) do
  if not named[file] then return {'FILES', files} end
end
for i = 1, #KEYS do redis.call('UNLINK', KEYS[i]) end
redis.call(ARGV[1], ARGV[2], '\1X')
return {'GONE'}
