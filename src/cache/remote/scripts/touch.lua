-- Changes the expiry of a live entry; answers whether there was one.
-- KEYS  entry, deadline, deadlines of the cache, notes for a load, and in framed caches: stamp, records of usage...,
--       stamps of groups...
-- ARGV  expiry kind, ms, random, declared groups
local kind, ms = ARGV[1], ARGV[2]
local stamp
if KEYS[5] then
  local clean, version
  stamp, clean = stamp_of(KEYS[5], ARGV[3])
  version = live_version(KEYS[1], stamp, clean)
  if #undeclared > 0 then return ask() end
  if not version then return 0 end
elseif not bytes_of('STRLEN', KEYS[1]) or redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
local before = counted(KEYS[1])
kind, ms = due(KEYS[2], mark_of(KEYS[3], stamp), kind, ms)
if kind == 'A' then
  redis.call('PEXPIREAT', KEYS[1], ms)
elseif kind ~= 'K' and ms ~= '' then
  redis.call('PEXPIRE', KEYS[1], ms)
elseif kind ~= 'K' then
  redis.call('PERSIST', KEYS[1])
end
if kind ~= 'K' then note_for_load(KEYS[4], KEYS[1]) end
recount(KEYS[1], before)
keep_usage()
return 1
