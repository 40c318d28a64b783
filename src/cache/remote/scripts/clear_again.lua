-- Clears a framed cache once more, unless it still has the stamp of the last clear; answers whether it did.
-- KEYS  stamp, records of usage...
-- ARGV  the stamp of that clear, or nothing if entries of the cache have been forgotten; random, no declared groups
local held = redis.call('GET', KEYS[1])
if held and #ARGV[1] == 16 and string.sub(held, 1, 16) == ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2] .. 's')
bind(ARGV[2])
keep_usage()
return 1
