-- Stores an entry of a load in a raw cache, unless others wrote or removed it since the load began. Raw entries do not
-- tell how old they are, so that 'I' stores what is absent only; what a repeated batch finds is its own.
-- KEYS  entry, record of the load, notes for it, deadline, deadlines of the cache
-- ARGV  id, mode, expiry kind, ms, bytes
-- Answers as load_framed does.
if not is_running(KEYS[2], KEYS[3], ARGV[1]) then return -1 end
if is_edited(KEYS[2], KEYS[1]) then return 0 end
if ARGV[2] == 'I' and redis.call('EXISTS', KEYS[1]) == 1 and bytes_of('GET', KEYS[1]) ~= ARGV[5] then return 0 end
local kind, ms = due(KEYS[4], mark_of(KEYS[5]), ARGV[3], ARGV[4])
store(KEYS[1], ARGV[5], kind, ms, false)
return 1
