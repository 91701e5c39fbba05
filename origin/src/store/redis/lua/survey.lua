#!lua flags=no-writes
-- What is known of a populated room beside its text.   K: meta seal, some logs
-- -> {bytes of each of these logs (about), 1 if a deletion was begun and its seal has ended, what record_flush_outcome.lua keeps: each empty if it is not there};
--    error COLD
local m = redis.call('HMGET', KEYS[1], 'st', 'dl', 'fo', 'fe', 'fp')
if m[1] ~= 'R' then return redis.error_reply('COLD room') end
local bytes = {}
for i = 3, #KEYS do bytes[i - 2] = redis.call('MEMORY', 'USAGE', KEYS[i]) or 0 end
local left = m[2] and redis.call('EXISTS', KEYS[2]) == 0
return {bytes, left and 1 or 0, m[3] or '', m[4] or '', m[5] or ''}
