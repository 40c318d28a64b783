-- Completes a load: its snapshot is remembered, unless it is unknown (zero).
-- KEYS  record of the load, record of the last complete one, stamp (framed caches only)     ARGV  id, random
-- Answers 1, also when asked again, or -1 if the load is over.
local record = redis.call('HMGET', KEYS[1], 'id', 'snapshot', 'mode', 'lineage', 'stamp')
if record[1] ~= ARGV[1] then
  return redis.call('HGET', KEYS[2], 'id') == ARGV[1] and 1 or -1
end
redis.call('UNLINK', KEYS[1])
if KEYS[3] and stamp_of(KEYS[3], ARGV[2]) ~= record[5] then return -1 end
if record[2] == string.rep('0', 20) then
  -- Whatever was loaded before is no longer what is there. The id is kept for a repeated call.
  redis.call('UNLINK', KEYS[2])
  redis.call('HSET', KEYS[2], 'id', ARGV[1])
else
  redis.call('HSET', KEYS[2], 'id', ARGV[1], 'snapshot', record[2], 'mode', record[3], 'lineage', record[4],
    'stamp', record[5])
end
return 1
