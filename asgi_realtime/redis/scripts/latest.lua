-- Return the newest publications to a target, newest first.
-- KEYS: state, history
-- ARGV: milliseconds that history is kept, epoch, number to begin after in that epoch, number to end before (0: none),
--       count
-- Returns a list of position and payload alternately.
local time = redis.call('TIME')
local oldest = time[1] * 1000000 + time[2] - tonumber(ARGV[1]) * 1000
local epoch = redis.call('HGET', KEYS[1], 'epoch') or ''
if ARGV[2] == epoch then
    oldest = math.max(oldest, tonumber(ARGV[3]))
end
local last = '+'
if ARGV[4] ~= '0' then
    last = '(' .. ARGV[4] .. '-0'
end
local entries = redis.call('XREVRANGE', KEYS[2], last, string.format('(%.0f-0', oldest), 'COUNT', ARGV[5])
local answer = {}
for number = 1, #entries do
    answer[#answer + 1] = epoch .. '-' .. string.match(entries[number][1], '%d+')
    answer[#answer + 1] = entries[number][2][4]
end
return answer
