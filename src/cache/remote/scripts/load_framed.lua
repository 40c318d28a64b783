-- Stores an entry of a load in a framed cache, unless others wrote or removed it since the load began. The groups of the
-- entry that it replaces stay: nobody but whoever adds to them has changed it since.
-- KEYS  entry, record of the load, stamp, what waits for the entry, stamps of groups...
-- ARGV  id, mode, snapshot in 20 digits, expiry kind, ms, random, header before the stamp, value, declared groups
-- Answers 1 stored, 0 passed over, -1 the load is over; or asks.
local record = redis.call('HMGET', KEYS[2], 'id', 'stamp', 'k' .. redis.sha1hex(KEYS[1]))
if record[1] ~= ARGV[1] then return -1 end
local stamp, clean = stamp_of(KEYS[3], ARGV[6])
if record[2] ~= stamp then
  -- The cache was cleared.
  redis.call('UNLINK', KEYS[2])
  return -1
end
if record[3] then return 0 end
local version, tail = live_version(KEYS[1], stamp, clean)
if #undeclared > 0 then return ask() end
if ARGV[2] == 'I' and version then
  -- Which snapshot an entry is of is in the last 20 bytes of its header; flag 2 tells that it is there.
  local head = redis.call('GETRANGE', KEYS[1], 0, 7)
  if not tail or math.floor(string.byte(head, 6) / 2) % 2 == 0 then return 0 end
  if string.sub(tail, -20) > ARGV[3] then return 0 end
end
local groups = tail and read_groups(tail) or waiting(KEYS[4])
store(KEYS[1], frame(ARGV[7], stamp, write_groups(groups) .. ARGV[3]) .. ARGV[8], ARGV[4], ARGV[5], false)
if not tail and #groups > 0 then redis.call('UNLINK', KEYS[4]) end
return 1
