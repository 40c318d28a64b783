-- Stores an entry of a load in a raw cache, unless others wrote or removed it since the load began. Raw entries do not
-- tell how old they are, so that 'I' stores what is absent only; what a repeated batch finds is its own.
-- KEYS  entry, record of the load     ARGV  id, mode, expiry kind, ms, bytes
-- Answers as load_framed does.
local record = redis.call('HMGET', KEYS[2], 'id', 'k' .. redis.sha1hex(KEYS[1]))
if record[1] ~= ARGV[1] then return -1 end
if record[2] then return 0 end
if ARGV[2] == 'I' and redis.call('EXISTS', KEYS[1]) == 1 and bytes_of('GET', KEYS[1]) ~= ARGV[5] then return 0 end
store(KEYS[1], ARGV[5], ARGV[3], ARGV[4], false)
return 1
