#!lua flags=no-writes
-- One consistent view of a file, or of the room's events.
-- K: meta, log, base of the file (none for the events)
-- -> {epoch, seq, ts, path, base ts, base seq, seq that the archive has, base, log entries}; errors COLD, NOFILE
local m = redis.call('HMGET', KEYS[1], 'st', 'e', 's', 't', 'bt')
if m[1] ~= 'R' then return redis.error_reply('COLD room') end
local b = {'room', '0', '0', '', '0'}
if KEYS[3] then
  b = redis.call('HMGET', KEYS[3], 'p', 'ts', 's', 'd', 'a')
  if not b[1] then return redis.error_reply('NOFILE in the room') end
end
return {m[2], m[3], m[4], b[1], b[2] or m[5], b[3] or '0', b[5] or b[3] or '0', b[4],
  redis.call('XRANGE', KEYS[2], '-', '+')}
