-- Return the revoked tokens whose revocations have not ended, sorted by their end, the latest first.
-- KEYS: revoked tokens
-- ARGV: how many to leave out, how many to return
-- Returns how many there are, then token id and milliseconds until the end alternately.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
local answer = {redis.call('ZCARD', KEYS[1])}
if tonumber(ARGV[2]) > 0 then
    local found = redis.call('ZREVRANGE', KEYS[1], ARGV[1], ARGV[1] + ARGV[2] - 1, 'WITHSCORES')
    for place = 1, #found, 2 do
        answer[#answer + 1] = found[place]
        answer[#answer + 1] = tonumber(found[place + 1]) - now
    end
end
return answer
