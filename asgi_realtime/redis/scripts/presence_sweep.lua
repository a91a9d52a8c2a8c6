-- Remove connections of a node that has stopped or died. To be repeated until none is left.
-- KEYS: connections by user, end of the grace period by user, connections by user at the node, taken users and by what
-- ARGV: microseconds of grace, most users at once (2 or more), seconds for which the node is refused, the node, and the
--       node that removes it and takes over the users that it should have announced as offline
-- Returns how many users are left, microseconds until the next grace period ends (-1: none), and how many users were
-- taken over.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local found = redis.call('HRANDFIELD', KEYS[3], ARGV[2], 'WITHVALUES')
for field = 1, #found, 2 do
    local user = found[field]
    if user ~= '' then
        local total = tonumber(redis.call('HGET', KEYS[1], user) or '0')
        local after = total - math.abs(tonumber(found[field + 1]))
        redis.call('HDEL', KEYS[3], user)
        if after > 0 then
            redis.call('HSET', KEYS[1], user, after)
        elseif total > 0 then
            redis.call('HDEL', KEYS[1], user)
            redis.call('ZADD', KEYS[2], 'NX', string.format('%.0f', now + ARGV[1]), user)
        end
    end
end
-- From now on, writes of this node are refused: it may have been frozen while its lease ended.
redis.call('HSET', KEYS[3], '', '')
redis.call('EXPIRE', KEYS[3], ARGV[3])
local answer = {redis.call('HLEN', KEYS[3]) - 1, -1, 0}
if ARGV[4] ~= ARGV[5] then
    local owner = ARGV[4] .. ':'
    local taken = redis.call('HKEYS', KEYS[4])
    for number = 1, #taken do
        local token = redis.call('HGET', KEYS[4], taken[number])
        if string.sub(token, 1, #owner) == owner then
            redis.call('HSET', KEYS[4], taken[number], ARGV[5] .. ':' .. token)
            answer[3] = answer[3] + 1
        end
    end
end
local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
if first[2] then
    answer[2] = math.max(0, first[2] - now)
end
return answer
