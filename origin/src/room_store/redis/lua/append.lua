#!lua
-- Logs a batch in order, all or nothing, marks its files dirty and publishes it; the reply is the acknowledgement.
-- K: meta origins files dirty events, log of each distinct file
-- A: epoch, run id of the server if known, origin, batch number, events kept, size from which a record is published as a
--    reference, publish, channel, distinct files, (index of the key of its log, record, hub, hub_seq) of each entry
-- -> answers: number, first seq, first ts (u64 each), then of each entry 'n' (the next of these) or 'd', seq, ts
-- errors COLD, EPOCH <current>, BEHIND <last number>, NOFILE; nothing is written on these
-- Message: 1, 'U', epoch, first seq, first ts, then of each new entry: length and file, length and record
local m = redis.call('HMGET', KEYS[1], 'st', 'e', 's', 't', 'rid', 'tr')
if m[1] ~= 'R' then return redis.error_reply('COLD room') end
local run = ARGV[2] ~= '' and ARGV[2] or run_id()
if m[2] ~= ARGV[1] or m[5] ~= run then return redis.error_reply('EPOCH ' .. m[2]) end
local number, batch_of = tonumber(ARGV[4]), 'b:' .. ARGV[3]
if number > 0 then
  local last = redis.call('HGET', KEYS[2], batch_of)
  local had = last and struct.unpack('>I8', last) or 0
  if had == number then
    -- Written again, so that WAIT counts from here also on a new connection.
    redis.call('HSET', KEYS[2], batch_of, last)
    return last
  end
  if had > number then return redis.error_reply('BEHIND ' .. dec(had)) end
end
for i = 6, #KEYS do
  if not redis.call('ZSCORE', KEYS[3], ARGV[i + 3]) then return redis.error_reply('NOFILE in the room') end
end

local now, seq, ts = now_us(), tonumber(m[3]), tonumber(m[4])
local first_seq, first_ts = seq + 1, math.max(now, ts + 1)
local answers = {struct.pack('>I8I8I8', number, first_seq, first_ts)}
local message = {'\1U' .. struct.pack('>I8I8I8', tonumber(m[2]), first_seq, first_ts)}
local marks, begun, ended, reference_from = {}, {}, {}, tonumber(ARGV[6])

local function place_of(key)
  local last = '+'
  while true do
    local some = redis.call('XREVRANGE', KEYS[5], last, '-', 'COUNT', 50)
    for _, entry in ipairs(some) do
      if entry[2][4] == key then
        local entry_ts, entry_seq = string.match(entry[1], '^(%d+)%-(%d+)$')
        return tonumber(entry_seq), tonumber(entry_ts)
      end
    end
    if #some < 50 then return seq, ts end
    last = '(' .. some[#some][1]
  end
end

for i = #KEYS + 4, #ARGV, 4 do
  local log, record, hub, hub_seq = tonumber(ARGV[i]), ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])
  local numbered = log == 5 and hub ~= '' and hub_seq > 0
  if numbered and not marks[hub] then
    marks[hub] = tonumber(redis.call('HGET', KEYS[2], 'e:' .. hub) or 0)
  end
  if numbered and hub_seq <= marks[hub] then
    answers[#answers + 1] = 'd' .. struct.pack('>I8I8', place_of(ARGV[i + 3] .. ' ' .. hub))
  else
    seq, ts = seq + 1, math.max(now, ts + 1)
    local id, file = dec(ts) .. '-' .. dec(seq), '.room'
    if log == 5 then
      redis.call('XADD', KEYS[5], id, 'd', record, 'k', ARGV[i + 3] .. ' ' .. hub)
      begun[5] = true
    else
      file = ARGV[log + 3]
      redis.call('XADD', KEYS[log], id, 'd', record)
      begun[log] = begun[log] or ts
      ended[log] = ts
    end
    if numbered then marks[hub] = hub_seq end
    answers[#answers + 1] = 'n'
    message[#message + 1] = struct.pack('>I1', #file) .. file
    if #record >= reference_from then
      message[#message + 1] = struct.pack('>I4', 4294967295)
    else
      message[#message + 1] = struct.pack('>I4', #record) .. record
    end
  end
end
for log, last in pairs(ended) do
  redis.call('ZADD', KEYS[3], dec(last), ARGV[log + 3])
  redis.call('ZADD', KEYS[4], 'NX', dec(begun[log]), ARGV[log + 3])
end
for hub, mark in pairs(marks) do redis.call('HSET', KEYS[2], 'e:' .. hub, dec(mark)) end
if begun[5] then trim_events(KEYS[1], KEYS[5], tonumber(ARGV[5]), tonumber(m[6])) end
local answer = table.concat(answers)
if number > 0 then redis.call('HSET', KEYS[2], batch_of, answer) end
if seq >= first_seq then
  redis.call('HSET', KEYS[1], 's', dec(seq), 't', dec(ts))
  redis.call(ARGV[7], ARGV[8], table.concat(message))
end
return answer
