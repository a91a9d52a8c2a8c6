-- Number a publication or command, keep it in history, and publish it.
-- KEYS: state, receipt (only if ARGV[4] is not 0), then for each target: last, history
-- ARGV: epoch for a new state, entries kept per target, milliseconds that they are kept, milliseconds that the receipt
--       is kept, name of the publish command, payload, then the channel of each target
-- Returns the position, and 1 if it was published now or 0 if a publication with this receipt existed.
-- A second longer, because keys expire by milliseconds and numbers are microseconds. Readers leave out what is older.
local ttl = ARGV[3] + 1000
local first = 2
if ARGV[4] ~= '0' then
    local known = redis.call('GET', KEYS[2])
    if known then
        return {known, 0}
    end
    first = 3
end
local state = redis.call('HMGET', KEYS[1], 'epoch', 'seq')
local epoch = state[1] or ARGV[1]
local time = redis.call('TIME')
local seq = time[1] * 1000000 + time[2]
if state[2] and tonumber(state[2]) >= seq then
    seq = tonumber(state[2]) + 1
end
local number = string.format('%.0f', seq)
local position = epoch .. '-' .. number
redis.call('HSET', KEYS[1], 'epoch', epoch, 'seq', number)
if first == 3 then
    redis.call('SET', KEYS[2], position, 'PX', ARGV[4])
end
local channel = 7
for key = first, #KEYS, 2 do
    local previous = redis.call('GET', KEYS[key]) or '0'
    redis.call('SET', KEYS[key], number, 'PX', ttl)
    redis.call('XADD', KEYS[key + 1], 'MAXLEN', ARGV[2], number .. '-0', 'p', previous, 'd', ARGV[6])
    redis.call('PEXPIRE', KEYS[key + 1], ttl)
    redis.call(ARGV[5], ARGV[channel], position .. ':' .. previous .. ':' .. ARGV[6])
    channel = channel + 1
end
return {position, 1}
