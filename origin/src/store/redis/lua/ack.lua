#!lua flags=allow-oom
-- Makes a merged state the base and trims what was merged. After the archive has it, the file is clean if nothing newer
-- is logged; else it stays as dirty as it was. A batch of which only a part was merged stays.
-- K: meta log base files dirty   A: epoch, file, base ts that was read, ts and seq of the last update merged, state,
--    1 if the archive has it
-- -> OK; errors COLD, EPOCH <current>, NOFILE, CONFLICT (another flush came first); nothing is written on these
local function begin_after(merged, entry)
  local ts, fields = tonumber(string.match(entry[1], '^(%d+)')), entry[2]
  if fields[1] == 'd' then return ts end
  local before_first = ts - tonumber(fields[#fields - 1])
  for i = 1, #fields, 2 do
    local begun = before_first + tonumber(fields[i])
    if begun > merged then return begun end
  end
end
local m = redis.call('HMGET', KEYS[1], 'st', 'e', 'bt', 'tr')
if m[1] ~= 'R' then return redis.error_reply('COLD room') end
if m[2] ~= ARGV[1] then return redis.error_reply('EPOCH ' .. m[2]) end
local last = redis.call('ZSCORE', KEYS[4], ARGV[2])
if not last then return redis.error_reply('NOFILE in the room') end
local base = redis.call('HMGET', KEYS[3], 'ts', 's', 'a')
if (base[1] or m[3]) ~= ARGV[3] then return redis.error_reply('CONFLICT of flushes') end
local merged = tonumber(ARGV[4])
local trimmed = redis.call('XREVRANGE', KEYS[2], ARGV[4], '-', 'COUNT', 1)
redis.call('HSET', KEYS[3], 'ts', ARGV[4], 's', ARGV[5], 'd', ARGV[6])
if trimmed[1] then
  local seq = tonumber(string.match(trimmed[1][1], '%-(%d+)$'))
  if seq > tonumber(m[4]) then redis.call('HSET', KEYS[1], 'tr', dec(seq)) end
  redis.call('XTRIM', KEYS[2], 'MINID', '=', dec(merged + 1) .. '-0')
end
if ARGV[7] ~= '1' then
  if not base[3] and redis.call('ZSCORE', KEYS[5], ARGV[2]) then
    redis.call('HSET', KEYS[3], 'a', base[2] or '0')
  end
  return 'OK'
end
redis.call('HDEL', KEYS[3], 'a')
redis.call('ZREM', KEYS[5], ARGV[2])
if tonumber(last) > merged then
  local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)
  if first[1] then redis.call('ZADD', KEYS[5], dec(begin_after(merged, first[1])), ARGV[2]) end
end
return 'OK'
