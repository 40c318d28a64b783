-- Writes an entry of a framed cache where nothing has to be known of what is there: no condition, no lease, no groups but
-- those that wait for it, no expiry that is kept, no quota. Does what put_framed.lua does then. Most writes are of this
-- kind, and Redis makes every function of a script and converts every argument anew at each run, which costs more than
-- the commands.
-- KEYS  entry, stamp, what waits for the entry, deadline, deadlines of the cache, lease, notes for a load
-- ARGV  expiry kind, ms, random, header before the stamp, value
local stamp = stamp_of(KEYS[2], ARGV[3])
-- What waits is written as in a header (see groups.lua); what is damaged is none.
local waits = bytes_of('GETEX', KEYS[3])
local tail = '\0'
if waits then
  local at = 2
  for _ = 1, string.byte(waits, 1) or 0 do
    at = at + 17 + (string.byte(waits, at) or #waits)
  end
  if at > 2 and at - 1 <= #waits then tail = string.sub(waits, 1, at - 1) end
end
local kind, ms = due(KEYS[4], mark_of(KEYS[5], stamp), ARGV[1], ARGV[2])
store(KEYS[1], frame(ARGV[4], stamp, tail) .. ARGV[5], kind, ms, false)
if tail ~= '\0' then redis.call('UNLINK', KEYS[3]) end
redis.call('UNLINK', KEYS[6])
note_for_load(KEYS[7], KEYS[1])
return {1}
