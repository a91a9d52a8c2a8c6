-- Keep revoked tokens until their revocations end.
-- KEYS: revoked tokens, a sorted set by the time of their end in milliseconds
-- ARGV: most that are kept, then for each: its id, and milliseconds until it ends
-- Returns how many there are.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local longest = redis.call('PTTL', KEYS[1])
for argument = 2, #ARGV, 2 do
    local left = tonumber(ARGV[argument + 1])
    redis.call('ZADD', KEYS[1], 'GT', string.format('%.0f', now + left), ARGV[argument])
    longest = math.max(longest, left)
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
-- Over the limit, those that end first are removed.
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - tonumber(ARGV[1]))
if longest > 0 then
    redis.call('PEXPIRE', KEYS[1], string.format('%.0f', longest))
end
return redis.call('ZCARD', KEYS[1])
