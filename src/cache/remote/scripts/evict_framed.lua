-- Removes a live entry of a framed cache; answers whether there was one. An entry under another stamp is left
-- alone: it is dead, or it is the live entry of a cache whose Redis name happens to be the same.
-- KEYS  entry, stamp, lease, notes for a load, records of usage..., stamps of groups...     ARGV  random, declared groups
local stamp, clean = stamp_of(KEYS[2], ARGV[1])
local version = live_version(KEYS[1], stamp, clean)
if #undeclared > 0 then return ask() end
if version then
  local before = counted(KEYS[1])
  redis.call('UNLINK', KEYS[1])
  recount(KEYS[1], before)
  keep_usage()
end
-- Also where there was nothing: what is being loaded may be older than this removal.
redis.call('UNLINK', KEYS[3])
note_for_load(KEYS[4], KEYS[1])
return version and 1 or 0
