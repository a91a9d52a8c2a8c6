-- Return the state of a gateway, and the last number of some of its targets.
-- KEYS: state, last of each target
-- ARGV: epoch for a new state
-- Returns epoch, number of the last publication, time of Redis in microseconds, number of the last command that only
-- history repeats or nil, and for each target its last number or nil.
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000000 + time[2])
local state = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'command')
if not state[1] then
    state = {ARGV[1], now, false}
    redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'seq', now)
end
local answer = {state[1], state[2], now, state[3]}
for first = 2, #KEYS, 1000 do
    local last = redis.call('MGET', unpack(KEYS, first, math.min(first + 999, #KEYS)))
    for number = 1, #last do
        answer[#answer + 1] = last[number]
    end
end
return answer
