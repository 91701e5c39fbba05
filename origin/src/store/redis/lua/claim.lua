#!lua
-- Gives a path to a new file, logs the event that says so and marks the file dirty.
-- K: meta names files dirty events, base of the new file
-- A: epoch, run id of the server if known, path, file, base, record of the event, events kept, publish, channel
-- -> {NEW, seq, ts} | {TAKEN, file}; errors COLD, EPOCH <current>, INUSE (the id has a file)
local m = redis.call('HMGET', KEYS[1], 'st', 'e', 's', 't', 'rid', 'tr')
if m[1] ~= 'R' then return redis.error_reply('COLD room') end
local run = ARGV[2] ~= '' and ARGV[2] or run_id()
if m[2] ~= ARGV[1] or m[5] ~= run then return redis.error_reply('EPOCH ' .. m[2]) end
local owner = redis.call('HGET', KEYS[2], ARGV[3])
if owner then return {'TAKEN', owner} end
if redis.call('ZSCORE', KEYS[3], ARGV[4]) then return redis.error_reply('INUSE file id') end
local seq, ts = tonumber(m[3]) + 1, math.max(now_us(), tonumber(m[4]) + 1)
local seq_text, ts_text = dec(seq), dec(ts)
redis.call('HSET', KEYS[2], ARGV[3], ARGV[4])
redis.call('UNLINK', KEYS[6])
redis.call('HSET', KEYS[6], 'p', ARGV[3], 'd', ARGV[5], 'ts', ts_text, 's', seq_text)
redis.call('ZADD', KEYS[3], ts_text, ARGV[4])
redis.call('ZADD', KEYS[4], 'NX', ts_text, ARGV[4])
redis.call('XADD', KEYS[5], ts_text .. '-' .. seq_text, 'd', ARGV[6])
redis.call('HSET', KEYS[1], 's', seq_text, 't', ts_text)
trim_events(KEYS[1], KEYS[5], tonumber(ARGV[7]), tonumber(m[6]))
redis.call(ARGV[8], ARGV[9], '\1U' .. struct.pack('>I8I8I8', tonumber(m[2]), seq, ts)
  .. struct.pack('>I1', 5) .. '.room' .. struct.pack('>I4', #ARGV[6]) .. ARGV[6])
return {'NEW', seq_text, ts_text}
