-- Publish to several channels without history, as one step.
-- KEYS: state (it names the slot of a Redis Cluster)
-- ARGV: name of the publish command, message, channels
for channel = 3, #ARGV do
    redis.call(ARGV[1], ARGV[channel], ARGV[2])
end
return 0
