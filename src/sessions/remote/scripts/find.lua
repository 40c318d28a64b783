-- The living sessions of a principal; reads only. A session lives until the end of the ms at which it ends.
-- KEYS  index     ARGV  most ids
-- Answers {ids, how many there are}.
local now = whole(now_ms())
local ids = redis.call('ZREVRANGEBYSCORE', KEYS[1], '+inf', now, 'LIMIT', 0, ARGV[1])
return {ids, redis.call('ZCOUNT', KEYS[1], now, '+inf')}
