-- Take over a recovery session for the next connection of its client. It is given away once.
-- KEYS: session
-- ARGV: owner, the earlier owner, milliseconds to keep the owner
-- Returns the session, or nil: the earlier owner has it no longer.
local found = redis.call('HMGET', KEYS[1], 'owner', 'data')
if found[1] ~= ARGV[2] or found[2] == '' then
    return false
end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'data', '')
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return found[2]
