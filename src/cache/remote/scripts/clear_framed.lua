-- Replaces the stamp of a framed cache: every entry is dead from here on. O(1).
-- KEYS  stamp, records of usage...     ARGV  random, no declared groups
redis.call('SET', KEYS[1], ARGV[1] .. 's')
bind(ARGV[1])
keep_usage()
return 1
