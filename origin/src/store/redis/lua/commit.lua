#!lua
-- Opens the room on the staged bases, all in one step, with a new epoch and seq 0. The loader's token, which was drawn
-- for this and which nobody else has seen, is the secret of its origins from then on.
-- K: meta members files dirty names origins events, (base, log) of each file
-- A: loader token, timestamp to stay above, publish, channel, (file, path) of each
-- -> {epoch, ts}; error STALE if the token is no longer the loader's or a staged base has vanished
if redis.call('HGET', KEYS[1], 'lk') ~= ARGV[1] then return redis.error_reply('STALE loader') end
local bases, logs, changed, names = {}, {}, {}, {}
for i = 8, #KEYS, 2 do bases[#bases + 1], logs[#logs + 1] = KEYS[i], KEYS[i + 1] end
-- Many keys in one call: each call costs. Lua's stack is not endless.
local function in_hundreds(list, call)
  for i = 1, #list, 100 do call(unpack(list, i, math.min(i + 99, #list))) end
end
local staged = 0
in_hundreds(bases, function(...) staged = staged + redis.call('EXISTS', ...) end)
if staged < #bases then return redis.error_reply('STALE loader') end
local now = now_us()
local epoch, ts = dec(now), dec(math.max(now, tonumber(ARGV[2]) + 1))
redis.call('UNLINK', unpack(KEYS, 3, 7))
for i, base in ipairs(bases) do
  local file, path = ARGV[3 + 2 * i], ARGV[4 + 2 * i]
  redis.call('PERSIST', base)
  changed[2 * i - 1], changed[2 * i] = ts, file
  names[2 * i - 1], names[2 * i] = path, file
end
in_hundreds(logs, function(...) redis.call('UNLINK', ...) end)
in_hundreds(changed, function(...) redis.call('ZADD', KEYS[3], ...) end)
in_hundreds(names, function(...) redis.call('HSET', KEYS[5], ...) end)
redis.call('HDEL', KEYS[1], 'lk', 'lo', 'lx')
redis.call('HSET', KEYS[1], 'v', 1, 'st', 'R', 'e', epoch, 's', 0, 't', ts, 'bt', ts, 'tr', 0, 'rid', run_id(),
  'sk', ARGV[1])
redis.call('PERSIST', KEYS[1])
redis.call('PERSIST', KEYS[2])
redis.call(ARGV[3], ARGV[4], '\1E' .. struct.pack('>I8I8', now, 0))
return {epoch, ts}
