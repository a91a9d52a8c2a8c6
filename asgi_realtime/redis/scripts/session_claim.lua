-- Take over a recovery session for the next connection of its client. It is given away once.
-- KEYS: session
-- ARGV: owner, the earlier owner, milliseconds to keep it
-- Returns the session, or nil: the earlier owner has it no longer. The same call may come twice, if the first answer was
-- lost.
local found = redis.call('HMGET', KEYS[1], 'owner', 'open', 'data')
if found[1] == ARGV[1] and found[2] == '' then
    return found[3]
end
if found[1] ~= ARGV[2] or found[2] == '' or found[3] == '' then
    return false
end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'open', '') -- until the new owner writes it
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return found[3]
