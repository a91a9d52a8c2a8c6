-- Keep the answer to an event of a client, or end its claim.
-- KEYS: a user's answers by event (of '', which is no event: the bytes of all answers), the events by the time of their
--       claim or answer
-- ARGV: event, claim; to keep an answer also: the answer (it begins with 'a'), microseconds that an answer is kept,
--       microseconds that a claim is valid, most answers, most bytes
-- Returns 1, or 0: to keep an answer, because another call has answered; to end a claim, because it is no longer valid.
local found = redis.call('HGET', KEYS[1], ARGV[1])
if not ARGV[3] then
    if found ~= ARGV[2] then
        return 0
    end
    redis.call('HDEL', KEYS[1], ARGV[1])
    redis.call('ZREM', KEYS[2], ARGV[1])
    return 1
end
-- The answer is kept also if the claim is gone (FLUSHALL, a failover), or if it took so long that another call has
-- claimed the event.
if found and string.sub(found, 1, 1) == 'a' then
    return 0
end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local bytes = (redis.call('HGET', KEYS[1], '') or 0) + #ARGV[3]
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('ZADD', KEYS[2], string.format('%.0f', now), ARGV[1])
local count = redis.call('ZCARD', KEYS[2])
local place = 0
while place < count - 1 do -- never the newest
    local oldest = redis.call('ZRANGE', KEYS[2], place, place, 'WITHSCORES')
    local age = now - oldest[2]
    if age < tonumber(ARGV[4]) and count <= tonumber(ARGV[6]) and bytes <= tonumber(ARGV[7]) then
        break
    end
    local value = redis.call('HGET', KEYS[1], oldest[1]) or ''
    local is_answer = string.sub(value, 1, 1) == 'a'
    if value ~= '' and not is_answer and age < tonumber(ARGV[5]) then
        place = place + 1 -- a valid claim: without it, the event would be handled twice
    else
        if is_answer then
            bytes = bytes - #value
        end
        redis.call('HDEL', KEYS[1], oldest[1])
        redis.call('ZREM', KEYS[2], oldest[1])
        count = count - 1
    end
end
redis.call('HSET', KEYS[1], '', string.format('%.0f', bytes))
local ttl = string.format('%.0f', (ARGV[4] + ARGV[5]) / 1000)
redis.call('PEXPIRE', KEYS[1], ttl)
redis.call('PEXPIRE', KEYS[2], ttl)
return 1
