-- Set how many connections some users have at a node.
-- KEYS: connections by user, end of the grace period by user, connections by user at the node, users who are being
--       announced as offline
-- ARGV: epoch that the node has ('': none), epoch for new presence, microseconds of grace,
--       the same if Redis has lost the counts, so that all nodes can write theirs again,
--       most connections of a user (0: no limit), then user and count alternately
-- Returns epoch, microseconds until the next grace period ends (-1: none), then for each user 0, 1: the user came
-- online, 2: refused, because the user would have too many connections, or 3: the user came online, but is still being
-- announced as offline, so ask again. Only the epoch '': the node was removed.
if redis.call('HEXISTS', KEYS[3], '') == 1 then
    return {''}
end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local epoch = redis.call('HGET', KEYS[1], '')
if not epoch then
    epoch = ARGV[2]
    redis.call('HSET', KEYS[1], '', epoch)
end
local lost = ARGV[1] ~= '' and ARGV[1] ~= epoch
local ends = string.format('%.0f', now + (lost and ARGV[4] or ARGV[3]))
local most = tonumber(ARGV[5])
local answer = {epoch, -1}
for argument = 6, #ARGV, 2 do
    local user, number = ARGV[argument], tonumber(ARGV[argument + 1])
    -- Negative: the user came online with connections of this node. So a request whose reply was lost can be repeated.
    local before = tonumber(redis.call('HGET', KEYS[3], user) or '0')
    local counted = math.abs(before)
    local total = tonumber(redis.call('HGET', KEYS[1], user) or '0')
    local after = math.max(total - counted + number, number)
    local result = 0
    if most > 0 and number > counted and after > most then
        result = 2
    elseif number > 0 then
        local came = before < 0
        if total == 0 then
            came = redis.call('ZREM', KEYS[2], user) == 0
        end
        if after ~= total then
            redis.call('HSET', KEYS[1], user, after)
        end
        redis.call('HSET', KEYS[3], user, came and -number or number)
        if came then
            local announced = redis.call('ZSCORE', KEYS[4], user)
            result = announced and tonumber(announced) > now and 3 or 1
        end
    elseif counted > 0 or (lost and total == 0) then
        redis.call('HDEL', KEYS[3], user)
        if after > 0 then
            redis.call('HSET', KEYS[1], user, after)
        else
            redis.call('HDEL', KEYS[1], user)
            redis.call('ZADD', KEYS[2], 'NX', ends, user)
        end
    end
    answer[#answer + 1] = result
end
local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
if first[2] then
    answer[2] = math.max(0, first[2] - now)
end
return answer
