-- Marks a raw cache as one in which deadlines are set; answers for how many ms it has been marked.
-- KEYS  deadlines of the cache     ARGV  random
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
local held = redis.call('GET', KEYS[1])
if held then return math.max(ms - (tonumber(string.sub(held, 17)) or ms), 0) end
redis.call('SET', KEYS[1], ARGV[1] .. string.format('%.0f', ms))
return 0
