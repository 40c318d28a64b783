-- Completes a load: its snapshot is remembered, unless it is unknown (zero).
-- KEYS  record of the load, notes for it, record of the last complete one, stamp (framed caches only)
-- ARGV  id, random
-- Answers 1, also when asked again, or -1 if the load is over.
if not is_running(KEYS[1], KEYS[2], ARGV[1]) then
  return redis.call('HGET', KEYS[3], 'id') == ARGV[1] and 1 or -1
end
local record = redis.call('HMGET', KEYS[1], 'snapshot', 'mode', 'history', 'stamp')
end_of_load(KEYS[1], KEYS[2])
if KEYS[4] and stamp_of(KEYS[4], ARGV[2]) ~= record[4] then return -1 end
if record[1] == string.rep('0', 20) then
  -- Whatever was loaded before is no longer what is there. The id is kept for a repeated call.
  redis.call('UNLINK', KEYS[3])
  redis.call('HSET', KEYS[3], 'id', ARGV[1])
else
  redis.call('HSET', KEYS[3], 'id', ARGV[1], 'snapshot', record[1], 'mode', record[2], 'history', record[3],
    'stamp', record[4])
end
return 1
