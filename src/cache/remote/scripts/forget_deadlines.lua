-- Forgets the deadlines of a raw cache, in one step: under another mark they do not count.
-- KEYS  deadlines of the cache     ARGV  random
local held = redis.call('GET', KEYS[1])
if held then redis.call('SET', KEYS[1], ARGV[1] .. string.sub(held, 17)) end
return 1
