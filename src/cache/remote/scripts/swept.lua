-- The sweep after a clear is complete: foreign entries are visible again, unless there was another clear since.
-- KEYS  stamp     ARGV  stamp of the clear that was swept
if redis.call('GET', KEYS[1]) == ARGV[1] .. 's' then
  redis.call('SET', KEYS[1], ARGV[1] .. 'c')
end
return 1
