-- Keep the answer to an event of a client, or end its claim.
-- KEYS: a user's answers by event (of '', which is no event: the bytes of all answers), the events by the time of their
--       claim or answer
-- ARGV: event, claim; to keep an answer also: the answer (it begins with 'a'), microseconds that an answer is kept,
--       microseconds that a claim is valid, most answers, most bytes
-- Returns 1, or 0 if the claim is no longer valid: it was not kept.
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
    return 0
end
if not ARGV[3] then
    redis.call('HDEL', KEYS[1], ARGV[1])
    redis.call('ZREM', KEYS[2], ARGV[1])
    return 1
end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local bytes = (redis.call('HGET', KEYS[1], '') or 0) + #ARGV[3]
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('ZADD', KEYS[2], string.format('%.0f', now), ARGV[1])
local count = redis.call('ZCARD', KEYS[2])
while count > 1 do
    local oldest = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
    local expired = now - oldest[2] >= tonumber(ARGV[4])
    if not expired and count <= tonumber(ARGV[6]) and bytes <= tonumber(ARGV[7]) then
        break
    end
    local value = redis.call('HGET', KEYS[1], oldest[1]) or ''
    if string.sub(value, 1, 1) == 'a' then
        bytes = bytes - #value
    end
    redis.call('HDEL', KEYS[1], oldest[1])
    redis.call('ZREM', KEYS[2], oldest[1])
    count = count - 1
end
redis.call('HSET', KEYS[1], '', string.format('%.0f', bytes))
local ttl = string.format('%.0f', (ARGV[4] + ARGV[5]) / 1000)
redis.call('PEXPIRE', KEYS[1], ttl)
redis.call('PEXPIRE', KEYS[2], ttl)
return 1
