-- Removes a live entry of a framed cache; answers whether there was one. An entry under another stamp is left
-- alone: it is dead, or it is the live entry of a cache whose Redis name happens to be the same.
-- KEYS  entry, stamp, record of a running load     ARGV  random
note_for_load(KEYS[3], KEYS[1])
local stamp, clean = stamp_of(KEYS[2], ARGV[1])
if live_version(KEYS[1], stamp, clean) then
  redis.call('UNLINK', KEYS[1])
  return 1
end
return 0
