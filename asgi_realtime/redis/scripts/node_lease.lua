-- Renew the lease of a node, and take over nodes whose lease has ended.
-- KEYS: end of the lease by node, by node to be removed: when the node that removes it must be done
-- ARGV: node, microseconds of the lease, 1: the node is new, most nodes to take over
-- Returns 1, or 0: the node has no lease; microseconds until the next lease ends; then nodes that the caller removes.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local text = string.format('%.0f', now)
local ends = string.format('%.0f', now + ARGV[2])
if ARGV[3] ~= '1' and not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
    return {0, 0}
end
redis.call('ZADD', KEYS[1], ends, ARGV[1])
local answer = {1, 0}
if ARGV[4] ~= '0' then
    local ended = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', text, 'LIMIT', 0, 100)
    for number = 1, #ended do
        redis.call('ZREM', KEYS[1], ended[number])
        redis.call('ZADD', KEYS[2], text, ended[number])
    end
    -- If the caller dies too, another node takes them over when its time is up.
    local taken = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', text, 'LIMIT', 0, ARGV[4])
    for number = 1, #taken do
        redis.call('ZADD', KEYS[2], ends, taken[number])
        answer[#answer + 1] = taken[number]
    end
end
answer[2] = math.max(0, redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2] - now)
return answer
