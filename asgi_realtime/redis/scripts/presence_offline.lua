-- Take users whose grace period has ended. One process gets each of them.
-- KEYS: end of the grace period by user, users who are being announced as offline
-- ARGV: most users at once, microseconds within which the process announces them
-- Returns microseconds until the next grace period ends (-1: none), then the users.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local answer = {-1}
local users = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now), 'LIMIT', 0, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now))
for number = 1, #users do
    redis.call('ZREM', KEYS[1], users[number])
    redis.call('ZADD', KEYS[2], string.format('%.0f', now + ARGV[2]), users[number])
    answer[number + 1] = users[number]
end
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if first[2] then
    answer[1] = math.max(0, first[2] - now)
end
return answer
