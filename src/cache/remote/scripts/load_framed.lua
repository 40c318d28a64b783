-- Stores an entry of a load in a framed cache, unless others wrote or removed it since the load began.
-- KEYS  entry, record of the load, stamp
-- ARGV  id, mode, snapshot in 20 digits, expiry kind, ms, random, header before the stamp, header after it, value
-- Answers 1 stored, 0 passed over, -1 the load is over.
local record = redis.call('HMGET', KEYS[2], 'id', 'stamp', 'k' .. redis.sha1hex(KEYS[1]))
if record[1] ~= ARGV[1] then return -1 end
local stamp, clean = stamp_of(KEYS[3], ARGV[6])
if record[2] ~= stamp then
  -- The cache was cleared.
  redis.call('UNLINK', KEYS[2])
  return -1
end
if record[3] then return 0 end
if ARGV[2] == 'I' and live_version(KEYS[1], stamp, clean) then
  -- Which snapshot an entry is of is in the last 20 bytes of its header; flag 2 tells that it is there.
  local head = redis.call('GETRANGE', KEYS[1], 0, 7)
  if string.sub(head, 1, 4) ~= MAGIC or math.floor(string.byte(head, 6) / 2) % 2 == 0 then return 0 end
  local length = string.byte(head, 7) * 256 + string.byte(head, 8)
  if redis.call('GETRANGE', KEYS[1], length - 20, length - 1) > ARGV[3] then return 0 end
end
store(KEYS[1], ARGV[7] .. stamp .. ARGV[8] .. ARGV[9], ARGV[4], ARGV[5], false)
return 1
