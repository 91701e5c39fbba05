#!lua flags=allow-oom
-- Leaves on a job why an attempt failed, if the attempt still has the job: what has another worker by now, or is
-- gone, is left alone. The last ten reasons are kept.
-- K: job, its lock   A: token of the attempt, reason, line of the stack trace
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
local read, lines = pcall(cjson.decode, redis.call('HGET', KEYS[1], 'stacktrace') or '[]')
if not read or type(lines) ~= 'table' then lines = {} end
lines[#lines + 1] = ARGV[3]
while #lines > 10 do table.remove(lines, 1) end
redis.call('HSET', KEYS[1], 'failedReason', ARGV[2], 'stacktrace', cjson.encode(lines))
return 1
