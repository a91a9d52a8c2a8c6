-- Take users whose grace period has ended. One process gets each of them, and keeps each until it says that it has
-- announced the user as offline. So a reply that is lost is repeated.
-- KEYS: end of the grace period by user, users who are being announced as offline, taken users and by what, connections
--       by user
-- ARGV: most users at once, microseconds within which the process announces them, node, number of this call at the node,
--       1: also users that this node took before or else 0, then user and token alternately: users that it has announced
-- Returns microseconds until the next grace period ends (-1: none), then user and token alternately.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local owner = ARGV[3] .. ':'
local answer = {-1}
local function give(user, token)
    redis.call('ZADD', KEYS[2], string.format('%.0f', now + ARGV[2]), user)
    answer[#answer + 1] = user
    answer[#answer + 1] = token
end
local function forget(user)
    redis.call('HDEL', KEYS[3], user)
    redis.call('ZREM', KEYS[2], user)
end
for argument = 6, #ARGV, 2 do
    if redis.call('HGET', KEYS[3], ARGV[argument]) == ARGV[argument + 1] then
        forget(ARGV[argument])
    end
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now))
if ARGV[5] == '1' then
    local taken = redis.call('HKEYS', KEYS[3])
    for number = 1, #taken do
        local user = taken[number]
        local token = redis.call('HGET', KEYS[3], user)
        if string.sub(token, 1, #owner) == owner then
            if redis.call('HEXISTS', KEYS[4], user) == 1 or redis.call('ZSCORE', KEYS[1], user) then
                forget(user) -- online again
            else
                give(user, token)
            end
        end
    end
end
if ARGV[1] ~= '0' then
    local users = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now), 'LIMIT', 0, ARGV[1])
    for number = 1, #users do
        local token = owner .. ARGV[4]
        redis.call('ZREM', KEYS[1], users[number])
        redis.call('HSET', KEYS[3], users[number], token)
        give(users[number], token)
    end
end
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if first[2] then
    answer[1] = math.max(0, first[2] - now)
end
return answer
