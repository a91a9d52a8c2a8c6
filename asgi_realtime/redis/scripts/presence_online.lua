-- Return which users are online, or within their grace period.
-- KEYS: connections by user, end of the grace period by user
-- ARGV: a user, or nothing: all
-- Returns 1 or 0 for a user, or a list of users and '', which is no user.
if ARGV[1] then
    return redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 and 1 or redis.call('ZSCORE', KEYS[2], ARGV[1]) and 1 or 0
end
local users = redis.call('HKEYS', KEYS[1])
local leaving = redis.call('ZRANGE', KEYS[2], 0, -1)
for number = 1, #leaving do
    users[#users + 1] = leaving[number]
end
return users
