-- Number a publication or command, keep it in history, and publish it.
-- KEYS: state, receipt (only if ARGV[4] is not 0), then for each target: last, history
-- ARGV: what the epoch of a new state begins with, entries kept per target, milliseconds that they are kept, milliseconds
--       that the receipt is kept, name of the publish command, payload, origin, 0 or else a number: it may have been
--       published before, with a greater number; then the channel of each target; then, only for a command that nothing
--       but history repeats, 1
-- Returns the position, and 1 if it was published now, 0 if it was published before, or 2 (and no position): history no
-- longer says whether it was published before, and it was not published now.
local state = redis.call('HMGET', KEYS[1], 'epoch', 'seq')
local first = 2
if ARGV[4] ~= '0' then
    local known = redis.call('GET', KEYS[2])
    if known then
        return {known, 0}
    end
    first = 3
end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local seq = now
local epoch = state[1] or ARGV[1] .. string.format('%x', seq) -- no other history has it
if ARGV[8] ~= '0' and first == 2 then -- without a receipt, history says it
    local since = tonumber(ARGV[8])
    local oldest = string.format('(%.0f-0', since)
    -- Whether all that was published to a target since then is in its history.
    local function reaches_back(last, history)
        local entry = redis.call('XRANGE', history, '-', '+', 'COUNT', 1)[1]
        if entry then
            return tonumber(string.match(entry[1], '%d+')) <= since or tonumber(entry[2][2]) <= since
        end
        return tonumber(redis.call('GET', last) or '0') <= since
    end
    local known = #KEYS < first -- to no target
    for key = first, #KEYS, 2 do
        local newest = '+'
        repeat
            local entries = redis.call('XREVRANGE', KEYS[key + 1], newest, oldest, 'COUNT', 1000)
            for number = 1, #entries do
                local id, fields = entries[number][1], entries[number][2]
                if fields[6] == ARGV[7] then
                    return {epoch .. '-' .. string.match(id, '%d+'), 0}
                end
                newest = '(' .. id
            end
        until #entries < 1000
        known = known or reaches_back(KEYS[key], KEYS[key + 1])
    end
    if not known then
        return {'', 2}
    end
end
if state[2] and tonumber(state[2]) >= seq then
    seq = tonumber(state[2]) + 1
end
local number = string.format('%.0f', seq)
local position = epoch .. '-' .. number
if state[1] then
    redis.call('HSET', KEYS[1], 'seq', number)
else
    redis.call('HSET', KEYS[1], 'epoch', epoch, 'seq', number)
end
if first == 3 then
    redis.call('SET', KEYS[2], position, 'PX', ARGV[4])
end
-- Keys are kept for a quarter longer than the time of ARGV, and their expiry is moved at most eight times within that time.
-- Readers leave out what is older.
-- If the clock was set back, numbers are ahead of it, and readers compare them with it when it has caught up. So keys are
-- kept for so much longer, but at most for an hour, and their expiry is moved each time because numbers hardly grow.
local ahead = math.min(seq - now, 3600000000)
local step = tonumber(ARGV[3]) * 125
local ttl = string.format('%.0f', ARGV[3] * 1.25 + 1000 + ahead / 1000)
local channel = 9
for key = first, #KEYS, 2 do
    local previous = redis.call('GET', KEYS[key]) or '0'
    if ahead > 1000000 or math.floor(seq / step) ~= math.floor(previous / step) then
        redis.call('SET', KEYS[key], number, 'PX', ttl)
        redis.call('XADD', KEYS[key + 1], 'MAXLEN', ARGV[2], number .. '-0', 'p', previous, 'd', ARGV[6], 'o', ARGV[7])
        redis.call('PEXPIRE', KEYS[key + 1], ttl)
    else
        redis.call('SET', KEYS[key], number, 'KEEPTTL')
        redis.call('XADD', KEYS[key + 1], 'MAXLEN', ARGV[2], number .. '-0', 'p', previous, 'd', ARGV[6], 'o', ARGV[7])
    end
    redis.call(ARGV[5], ARGV[channel], position .. ':' .. previous .. ':' .. ARGV[6])
    channel = channel + 1
end
if ARGV[channel] then -- kept without an end, so that a process that was away for longer knows whether it missed one
    redis.call('HSET', KEYS[1], 'command', number)
end
return {position, 1}
