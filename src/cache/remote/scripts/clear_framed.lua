-- Replaces the stamp of a framed cache: every entry is dead from here on. O(1).
-- KEYS  stamp     ARGV  random
redis.call('SET', KEYS[1], ARGV[1] .. 's')
return 1
