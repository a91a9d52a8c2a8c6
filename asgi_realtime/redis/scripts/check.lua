-- Run each command that the other scripts use, on keys of its own, to check that it is permitted.
-- KEYS: a string, a hash, a sorted set, a stream
-- ARGV: name of the publish command, channel
local refused
local function run(name, ...)
    local reply = redis.pcall(name, ...)
    if type(reply) == 'table' and reply['err'] and not refused then
        refused = 'NOPERM ' .. name .. ': ' .. reply['err']
    end
end
run('TIME')
run('SET', KEYS[1], '')
run('GET', KEYS[1])
run('MGET', KEYS[1])
run('HSET', KEYS[2], 'a', '', 'b', '')
run('HGET', KEYS[2], 'a')
run('HMGET', KEYS[2], 'a')
run('HEXISTS', KEYS[2], 'a')
run('HKEYS', KEYS[2])
run('HLEN', KEYS[2])
run('HRANDFIELD', KEYS[2], 1)
run('HDEL', KEYS[2], 'b')
run('ZADD', KEYS[3], 1, 'a', 2, 'b')
run('ZCARD', KEYS[3])
run('ZSCORE', KEYS[3], 'a')
run('ZRANGE', KEYS[3], 0, -1)
run('ZREVRANGE', KEYS[3], 0, -1)
run('ZRANGEBYSCORE', KEYS[3], 1, 2)
run('ZREMRANGEBYSCORE', KEYS[3], 3, 4)
run('ZREMRANGEBYRANK', KEYS[3], 3, 4)
run('ZREM', KEYS[3], 'b')
run('XADD', KEYS[4], 'MAXLEN', 1, '*', 'a', '')
run('XRANGE', KEYS[4], '-', '+')
run('XREVRANGE', KEYS[4], '+', '-')
run('SADD', KEYS[5], 'a')
run('SMEMBERS', KEYS[5])
run('DEL', KEYS[5])
run('PTTL', KEYS[4])
run('EXPIRE', KEYS[4], 1)
for number = 1, #KEYS do
    run('PEXPIRE', KEYS[number], 1)
end
run(ARGV[1], ARGV[2], '')
if refused then
    return redis.error_reply(refused)
end
return 0
