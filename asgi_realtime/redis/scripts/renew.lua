-- Begin another history: Redis has lost a part of this one, because it was restored from older data.
-- KEYS: state, last and history of the commands
-- ARGV: the epoch of the history that is not complete, the epoch of the next one
-- Returns the epoch. Another process may have begun the next history already.
if redis.call('HGET', KEYS[1], 'epoch') == ARGV[1] then
    redis.call('HSET', KEYS[1], 'epoch', ARGV[2])
    -- Processes read the commands of a new history from its beginning. They have carried these out.
    redis.call('HDEL', KEYS[1], 'command')
    redis.call('DEL', KEYS[2], KEYS[3])
end
return redis.call('HGET', KEYS[1], 'epoch')
