-- Removes a live entry of a framed cache; answers whether there was one. An entry under another stamp is left
-- alone: it is dead, or it is the live entry of a cache whose Redis name happens to be the same.
-- KEYS  entry, stamp, record of a running load, stamps of groups...     ARGV  random, declared groups
local stamp, clean = stamp_of(KEYS[2], ARGV[1])
local version = live_version(KEYS[1], stamp, clean)
if #undeclared > 0 then return ask() end
-- Also where there is nothing: a load is not to bring it back.
note_for_load(KEYS[3], KEYS[1])
if version then
  redis.call('UNLINK', KEYS[1])
  return 1
end
return 0
