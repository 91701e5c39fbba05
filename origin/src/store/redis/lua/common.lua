-- In front of every script: times are microseconds, numbers leave as decimal strings. An error has a second word,
-- since Redis puts ERR in front of a lone one.
local function now_us()
  local t = redis.call('TIME')
  return t[1] * 1000000 + t[2]
end
local function dec(n) return string.format('%.0f', n) end
-- Names this life of this server: another one after a restart or a failover.
local function run_id() return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') end
-- Ends the leases that are over, and with them what their origins have said of who is there.
local function expire(members, listed, now)
  for _, origin in ipairs(redis.call('ZRANGEBYSCORE', members, '-inf', dec(now))) do
    redis.call('HDEL', listed, origin)
  end
  redis.call('ZREMRANGEBYSCORE', members, '-inf', dec(now))
end
-- Drops the oldest room events beyond a limit and remembers up to where; the last seq dropped so far is `known`.
local function trim_events(meta, events, limit, known)
  local over = redis.call('XLEN', events) - limit
  if over <= 0 then return end
  local oldest = redis.call('XRANGE', events, '-', '+', 'COUNT', over)
  local seq = tonumber(string.match(oldest[over][1], '%-(%d+)$'))
  redis.call('XTRIM', events, 'MAXLEN', '=', limit)
  if seq > known then redis.call('HSET', meta, 'tr', dec(seq)) end
end
