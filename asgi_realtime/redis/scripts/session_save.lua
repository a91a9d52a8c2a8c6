-- Keep a recovery session, unless another connection has taken it over.
-- KEYS: session
-- ARGV: owner, 1: the connection is open or 0: it is lost, the session (empty: there is none), milliseconds to keep it
-- Returns 1, or 0: it has another owner.
local owner = redis.call('HGET', KEYS[1], 'owner')
if owner and owner ~= ARGV[1] then
    return 0
end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'open', ARGV[2], 'data', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
