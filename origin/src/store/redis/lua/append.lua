#!lua
-- Logs a batch in order, all or nothing, marks its files dirty and publishes it; the reply is the acknowledgement.
-- K: meta origins files dirty events, log of each distinct file
-- A: epoch, run id of the server if known, origin, batch number, events kept, size from which a record is published as a
--    reference, publish, channel, distinct files, of each entry the index of the key of its log and its record, and
--    of an event also hub and hub_seq, of an update its author (or nothing) and its extensions: client (u64), clock
--    before it and with it (u32 each)
-- -> answers: number, first seq, first ts (u64 each), then of each entry 'n' (the next of these) or 'd', seq, ts
-- errors COLD, EPOCH <current>, BEHIND <last number>, NOFILE, OVERTAKEN: somebody else has logged more of a client than
-- the sender knew when it validated the batch, OWNED <file> <client> <author> if that client belongs to another author;
-- nothing is written on these
-- Message: 1, 'U', epoch, first seq, first ts, then of each new entry: length and file, length and record
-- What a batch brings a file is one entry of its log, since each costs; a reference is one of its own. The id is that
-- of the last change, the fields are the records by their place in the batch, which gives seq and ts, or 'd' if there
-- is one.
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

-- Calls a command with a list of arguments, so many of them at a time: Lua's stack is not endless.
local function in_parts(arguments, command)
  for first = 1, #arguments, 1000 do command(first, math.min(first + 999, #arguments)) end
end

-- Up to where the text of each client is logged, and the author to whom it belongs, by file and client.
local clocks, owners, fields, args, i = {}, {}, {}, ARGV, #KEYS + 4
while i < #args do
  local log = tonumber(args[i])
  if log > 5 then
    local file, extensions = args[log + 3], args[i + 3]
    for at = 1, #extensions, 16 do
      local field = 'k:' .. file .. string.sub(extensions, at, at + 7)
      if not clocks[field] then clocks[field], fields[#fields + 1] = 0, field end
    end
  end
  i = i + 4
end
in_parts(fields, function(first, last)
  for n, known in ipairs(redis.call('HMGET', KEYS[2], unpack(fields, first, last))) do
    local clock, owner = string.match(known or '0 ', '^(%d+) (.*)$')
    local field = fields[first + n - 1]
    clocks[field], owners[field] = tonumber(clock), owner
  end
end)
i = #KEYS + 4
while i < #args do
  local log = tonumber(args[i])
  if log > 5 then
    local file, author, extensions = args[log + 3], args[i + 2], args[i + 3]
    for at = 1, #extensions, 16 do
      local client, from, to = struct.unpack('>I8I4I4', extensions, at)
      local field = 'k:' .. file .. string.sub(extensions, at, at + 7)
      if clocks[field] > from then return redis.error_reply('OVERTAKEN by another') end
      if author ~= '' and owners[field] ~= '' and owners[field] ~= author then
        return redis.error_reply('OWNED ' .. file .. ' ' .. dec(client) .. ' ' .. owners[field])
      end
      clocks[field], owners[field] = to, author ~= '' and author or owners[field]
    end
  end
  i = i + 4
end

local now, seq, ts = now_us(), tonumber(m[3]), tonumber(m[4])
local first_seq, first_ts = seq + 1, math.max(now, ts + 1)
local answers = {struct.pack('>I8I8I8', number, first_seq, first_ts)}
local message = {'\1U' .. struct.pack('>I8I8I8', tonumber(m[2]), first_seq, first_ts)}
local marks, files, entries, begun, ended = {}, {}, {}, {}, {}
local added, reference_from = 0, tonumber(ARGV[6])

local function id_of(place) return dec(first_ts + place) .. '-' .. dec(first_seq + place) end

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

local function publish(log, file, record)
  files[log] = files[log] or struct.pack('>I1', #file) .. file
  answers[#answers + 1] = 'n'
  message[#message + 1] = files[log]
  if #record >= reference_from then
    message[#message + 1] = '\255\255\255\255'
  else
    message[#message + 1] = struct.pack('>I4', #record)
    message[#message + 1] = record
  end
end

-- Writes what is to be one entry of a log.
local function write(log)
  local entry = entries[log]
  if #entry == 0 then return end
  local last = entry[#entry - 1]
  if #entry == 2 then entry[1] = 'd' end
  redis.call('XADD', KEYS[log], id_of(last), unpack(entry))
  entries[log], ended[log] = {}, last
end

local events = false
i = #KEYS + 4
while i < #args do
  local log, record = tonumber(args[i]), args[i + 1]
  i = i + 2
  if log > 5 then
    i = i + 2
    if not begun[log] then begun[log], entries[log] = added, {} end
    local is_reference = #record >= reference_from
    -- A reference names an entry. And Lua's stack is not endless.
    if is_reference or #entries[log] >= 2000 then write(log) end
    local entry = entries[log]
    entry[#entry + 1] = added
    entry[#entry + 1] = record
    if is_reference then write(log) end
    added = added + 1
    publish(log, args[log + 3], record)
  else
    local hub, hub_seq = args[i], tonumber(args[i + 1])
    local key, numbered = args[i + 1] .. ' ' .. hub, hub ~= '' and hub_seq > 0
    i = i + 2
    if numbered and not marks[hub] then
      marks[hub] = tonumber(redis.call('HGET', KEYS[2], 'e:' .. hub) or 0)
    end
    if added > 0 then seq, ts = first_seq + added - 1, first_ts + added - 1 end
    if numbered and hub_seq <= marks[hub] then
      answers[#answers + 1] = 'd' .. struct.pack('>I8I8', place_of(key))
    else
      redis.call('XADD', KEYS[5], id_of(added), 'd', record, 'k', key)
      added, events = added + 1, true
      if numbered then marks[hub] = hub_seq end
      publish(log, '.room', record)
    end
  end
end
for log, first in pairs(begun) do
  write(log)
  redis.call('ZADD', KEYS[3], dec(first_ts + ended[log]), args[log + 3])
  redis.call('ZADD', KEYS[4], 'NX', dec(first_ts + first), args[log + 3])
end
for hub, mark in pairs(marks) do redis.call('HSET', KEYS[2], 'e:' .. hub, dec(mark)) end
local moved = {}
for field, clock in pairs(clocks) do
  moved[#moved + 1] = field
  moved[#moved + 1] = dec(clock) .. ' ' .. owners[field]
end
in_parts(moved, function(first, last) redis.call('HSET', KEYS[2], unpack(moved, first, last)) end)
if events then trim_events(KEYS[1], KEYS[5], tonumber(ARGV[5]), tonumber(m[6])) end
local answer = table.concat(answers)
if number > 0 then redis.call('HSET', KEYS[2], batch_of, answer) end
if added > 0 then
  redis.call('HSET', KEYS[1], 's', dec(first_seq + added - 1), 't', dec(first_ts + added - 1))
  redis.call(ARGV[7], ARGV[8], table.concat(message))
end
return answer
