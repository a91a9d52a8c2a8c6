-- Return what was published to some targets after a number, as much as fits into an answer.
-- KEYS: state, then for each target: last, history
-- ARGV: milliseconds that history is kept; number that was delivered last of any target, or time until which nothing was
--       missed (0: the caller reads for a client); number to end at (0: the newest of all targets); most bytes (about);
--       then for each target the number to begin after
-- Returns epoch, number of the last publication, then for each target 0 if history no longer reaches back, or a list: 1
-- if that is all or 0 if there is more, then number and payload alternately.
local time = redis.call('TIME')
local ttl = tonumber(ARGV[1]) * 1000
local oldest = time[1] * 1000000 + time[2] - ttl
local state = redis.call('HMGET', KEYS[1], 'epoch', 'seq')
local known = tonumber(ARGV[2])
local final = tonumber(ARGV[3])
if final == 0 then
    final = tonumber(state[2] or '0')
end
local left = tonumber(ARGV[4])

local function read(last_key, history, since)
    local last = tonumber(redis.call('GET', last_key) or '0')
    local checked = math.max(since, known)
    if last <= since then
        if last == 0 and checked < oldest and since < tonumber(state[2] or '0') then
            return 0
        end
        return {1}
    end
    local found = {1}
    local start = string.format('(%.0f-0', math.max(since, oldest))
    local count, size, is_first = 1, 0, true
    while true do
        if left <= 0 then
            found[1] = 0
            return found
        end
        local entries = redis.call('XRANGE', history, start, '+', 'COUNT', count)
        for place = 1, #entries do
            local id, fields = entries[place][1], entries[place][2]
            local number = tonumber(string.match(id, '%d+'))
            if is_first then
                local previous = tonumber(fields[2])
                -- 0: Redis has no earlier number, so nothing was published within the time that history is kept.
                -- Or the key of a newer publication was evicted.
                local evicted = known > 0 and since > 0 and number - since < ttl
                -- What was delivered last is not here: a failover to a server that did not have it yet.
                local replaced = known > 0 and previous > 0 and previous < since
                if previous > since or replaced or previous == 0 and (checked < oldest or evicted) then
                    return 0
                end
                is_first = false
            end
            if number > final then
                return found
            end
            found[#found + 1] = string.match(id, '%d+')
            found[#found + 1] = fields[4]
            size = size + #fields[4] + 50
            left = left - #fields[4] - 50
            start = '(' .. id
        end
        if is_first then
            return 0
        end
        if #entries < count then
            return found
        end
        count = math.max(1, math.min(512, math.floor(left * (#found - 1) / 2 / size)))
    end
end

local answer = {state[1] or '', state[2] or '0'}
for target = 1, (#KEYS - 1) / 2 do
    answer[#answer + 1] = read(KEYS[2 * target], KEYS[2 * target + 1], tonumber(ARGV[4 + target]))
end
return answer
