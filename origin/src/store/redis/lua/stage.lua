#!lua
-- Puts some bases where the commit will find them; they vanish by themselves if it does not come.
-- K: meta, base of each file   A: loader token, loader lease, ms until an abandoned load vanishes, (path, state) of each
-- -> OK; error STALE if the token is no longer the loader's
if redis.call('HGET', KEYS[1], 'lk') ~= ARGV[1] then return redis.error_reply('STALE loader') end
redis.call('HSET', KEYS[1], 'lx', dec(now_us() + tonumber(ARGV[2])))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
for i = 2, #KEYS do
  redis.call('UNLINK', KEYS[i])
  redis.call('HSET', KEYS[i], 'p', ARGV[2 * i], 'd', ARGV[2 * i + 1])
  redis.call('PEXPIRE', KEYS[i], ARGV[3])
end
return 'OK'
