-- Return revoked users, sorted by the time up to which their tokens are refused, the latest first.
-- KEYS: revoked users
-- ARGV: how many to leave out, how many to return
-- Returns how many there are, then user id and time (seconds since the epoch, as text) alternately.
local answer = {redis.call('ZCARD', KEYS[1])}
if tonumber(ARGV[2]) > 0 then
    local found = redis.call('ZREVRANGE', KEYS[1], ARGV[1], ARGV[1] + ARGV[2] - 1, 'WITHSCORES')
    for place = 1, #found do
        answer[#answer + 1] = found[place]
    end
end
return answer
