-- Keep for each user the time up to which the tokens are refused. The latest time wins.
-- KEYS: revoked users, a sorted set by that time in seconds since the epoch
-- ARGV: most that are kept, milliseconds for which they are kept, then for each: user id, and time
-- Returns how many there are. Those that have ended count too: processes may keep them for different times.
local longest = math.max(redis.call('PTTL', KEYS[1]), tonumber(ARGV[2]))
for argument = 3, #ARGV, 2 do
    redis.call('ZADD', KEYS[1], 'GT', ARGV[argument + 1], ARGV[argument])
end
-- Over the limit, those that end first are removed.
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - tonumber(ARGV[1]))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', longest))
return redis.call('ZCARD', KEYS[1])
