-- Return the answer to an event of a client, or claim the event.
-- KEYS: a user's answers by event, the events by the time of their claim or answer
-- ARGV: event, claim (it begins with 'c', and no other call has it), microseconds that an answer is kept, microseconds
--       that a claim is valid
-- Returns 0 if the event is claimed for this call, 1 and the answer, or 2 if another call has claimed it.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local found = redis.call('HGET', KEYS[1], ARGV[1])
if found and found ~= ARGV[2] then
    local age = now - tonumber(redis.call('ZSCORE', KEYS[2], ARGV[1]) or '0')
    if string.sub(found, 1, 1) == 'a' then
        if age < tonumber(ARGV[3]) then
            return {1, string.sub(found, 2)}
        end
        redis.call('HSET', KEYS[1], '', (redis.call('HGET', KEYS[1], '') or '0') - #found)
    elseif age < tonumber(ARGV[4]) then
        return {2}
    end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], string.format('%.0f', now), ARGV[1])
local ttl = string.format('%.0f', (ARGV[3] + ARGV[4]) / 1000)
redis.call('PEXPIRE', KEYS[1], ttl)
redis.call('PEXPIRE', KEYS[2], ttl)
return {0}
