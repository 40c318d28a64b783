-- Stores an entry of a load in a raw cache, unless others wrote or removed it since the load began. Raw entries do not
-- tell how old they are, so that 'I' stores what is absent only; what a repeated batch finds is its own.
-- KEYS  entry, record of the load, notes for it, deadline, deadlines of the cache
-- ARGV  id, mode, expiry kind, ms, bytes
-- Answers as load_framed does.
if not is_running(KEYS[2], KEYS[3], ARGV[1]) then return -1 end
if is_edited(KEYS[2], KEYS[1]) then return 0 end
if ARGV[2] == 'I' and redis.call('EXISTS', KEYS[1]) == 1 then
  return bytes_of('GET', KEYS[1]) == ARGV[5] and 1 or 0
end
-- A deadline that somebody has set may be newer than the expiry that the load gives.
local kind, ms = due(KEYS[4], mark_of(KEYS[5]), 'D', ARGV[4])
if kind ~= 'A' then kind = ARGV[3] end
store(KEYS[1], ARGV[5], kind, ms, false)
return 1
