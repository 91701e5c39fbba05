#!lua flags=no-writes
-- Everything logged after a position. The caller names the logs of the files that it knows to have changed; if
-- there are others, it is told which, and calls again.
-- K: meta files events, log of each named file   A: epoch, seq, ts, named files
-- -> {RESET, epoch, seq, ts} | {FILES, files} | {OK, epoch, seq, ts, events, log of each named file}; error COLD
local m = redis.call('HMGET', KEYS[1], 'st', 'e', 's', 't', 'tr', 'rid')
if m[1] ~= 'R' then return redis.error_reply('COLD room') end
local seq = tonumber(ARGV[2])
if m[2] ~= ARGV[1] or m[6] ~= run_id() or seq < tonumber(m[5]) or seq > tonumber(m[3]) then
  return {'RESET', m[2], m[3], m[4]}
end
local changed = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[3], '+inf')
local named = {}
for i = 4, #ARGV do named[ARGV[i]] = true end
for _, file in ipairs(changed) do
  if not named[file] then return {'FILES', changed} end
end
local after = '(' .. ARGV[3] .. '-' .. ARGV[2]
local reply = {'OK', m[2], m[3], m[4]}
for i = 3, #KEYS do reply[#reply + 1] = redis.call('XRANGE', KEYS[i], after, '+') end
return reply
