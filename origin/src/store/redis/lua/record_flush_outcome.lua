#!lua flags=allow-oom
-- Keeps how a flush of a populated room ended.
-- K: meta   A: when it went well, how it failed, what it put aside; each empty if it says nothing of that   -> OK; error COLD
if redis.call('HGET', KEYS[1], 'st') ~= 'R' then return redis.error_reply('COLD room') end
for i, field in ipairs({'fo', 'fe', 'fp'}) do
  if ARGV[i] ~= '' then redis.call('HSET', KEYS[1], field, ARGV[i]) end
end
return 'OK'
