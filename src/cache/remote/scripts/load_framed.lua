-- Stores an entry of a load in a framed cache, unless others wrote or removed it, or flushed one of the groups that it
-- names, since the load began: that entry is absent then. The groups of the entry that it replaces stay: nobody but
-- whoever adds to them has changed it since.
-- KEYS  entry, record of the load, notes for it, stamp, what waits for the entry, flush clock, deadline, deadlines of the
--       cache, lease, records of usage..., stamps of groups...
-- ARGV  id, mode, snapshot in 20 digits, expiry kind, ms, random, header before the stamp, value, how many of the declared
--       groups are joined, declared groups
-- Answers 1 stored, 0 passed over, -1 the load is over, {-2} if the entry would be in too many groups; what is beyond
-- a quota; or asks.
local record, random, count = KEYS[2], ARGV[6], tonumber(ARGV[9])
if not is_running(record, KEYS[3], ARGV[1]) then return -1 end
local stamp, clean = stamp_of(KEYS[4], random)
if redis.call('HGET', record, 'stamp') ~= stamp then
  -- The cache was cleared.
  end_of_load(record, KEYS[3])
  return -1
end
if is_edited(record, KEYS[1]) then return 0 end
local version, tail = live_version(KEYS[1], stamp, clean)
if #undeclared > 0 then return ask() end
if ARGV[2] == 'I' and version then
  -- Which snapshot an entry is of is in the last 20 bytes of its header; flag 2 tells that it is there.
  local head = redis.call('GETRANGE', KEYS[1], 0, 7)
  if not tail or math.floor(string.byte(head, 6) / 2) % 2 == 0 then return 0 end
  if string.sub(tail, -20) > ARGV[3] then return 0 end
end
for place = 1, count do
  if is_edited(record, declared[declared_names[place]]) then
    -- What it would have replaced is older, and the flush would have reached it too.
    if version then
      local before = counted(KEYS[1])
      redis.call('UNLINK', KEYS[1])
      recount(KEYS[1], before)
      keep_usage()
    end
    return 0
  end
end
local groups = tail and read_groups(tail) or waiting(KEYS[5])
local waited = not tail and #groups > 0
if not join(groups, count, random, KEYS[6]) then return {-2} end
local bytes = frame(ARGV[7], stamp, write_groups(groups) .. ARGV[3]) .. ARGV[8]
local refused, before = beyond(KEYS[1], stamp, #bytes)
if refused then return refused end
-- A deadline that somebody has set may be newer than the expiry that the load gives.
local kind, ms = due(KEYS[7], mark_of(KEYS[8], stamp), 'D', ARGV[5])
if kind ~= 'A' then kind = ARGV[4] end
store(KEYS[1], bytes, kind, ms, false)
recount(KEYS[1], before, #bytes)
keep_usage()
if waited then redis.call('UNLINK', KEYS[5]) end
redis.call('UNLINK', KEYS[9])
return 1
