-- What was published to some targets after a number.
-- KEYS: state, then for each target: last, history
-- ARGV: milliseconds that history is kept, then for each target the number to begin after
-- Returns epoch, number of the last publication, then for each target a list of number and payload by turns,
-- or 0 if history no longer reaches back.
local time = redis.call('TIME')
local oldest = time[1] * 1000000 + time[2] - tonumber(ARGV[1]) * 1000
local state = redis.call('HMGET', KEYS[1], 'epoch', 'seq')
local answer = {state[1] or '', state[2] or '0'}
local argument = 2
for key = 2, #KEYS, 2 do
    local since = tonumber(ARGV[argument])
    argument = argument + 1
    local last = tonumber(redis.call('GET', KEYS[key]) or '0')
    local found = {}
    if last > since then
        local entries = redis.call('XRANGE', KEYS[key + 1], string.format('(%.0f-0', math.max(since, oldest)), '+')
        for number = 1, #entries do
            local fields = entries[number][2]
            -- 0: nothing before it is remembered, so nothing was published within the time that history is kept.
            if number == 1 and (tonumber(fields[2]) > since or fields[2] == '0' and since < oldest) then
                found = 0
                break
            end
            found[#found + 1] = string.match(entries[number][1], '%d+')
            found[#found + 1] = fields[4]
        end
        if found ~= 0 and #found == 0 then
            found = 0
        end
    elseif last == 0 and since < oldest and since < tonumber(state[2] or '0') then
        found = 0
    end
    answer[#answer + 1] = found
end
return answer
