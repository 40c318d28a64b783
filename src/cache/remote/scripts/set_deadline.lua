-- Gives a key a deadline, and the live entry of that key if there is one.
-- KEYS  entry, deadline, deadlines of the cache, notes for a load, and in framed caches: stamp, records of usage...,
--       stamps of groups...
-- ARGV  deadline in ms since the epoch, ms for which it is told that it has passed, random, declared groups
-- Answers 1 if there was a live entry, else 0; -1 if a raw cache has not been marked, which comes first; or asks.
local at, mark, live = ARGV[1], nil, nil
if KEYS[5] then
  local clean
  mark, clean = stamp_of(KEYS[5], ARGV[3])
  live = live_version(KEYS[1], mark, clean)
  if #undeclared > 0 then return ask() end
  if not bytes_of('GET', KEYS[3]) then redis.call('SET', KEYS[3], mark) end
else
  mark = mark_of(KEYS[3])
  if not mark then return -1 end
  live = bytes_of('STRLEN', KEYS[1]) and redis.call('EXISTS', KEYS[1]) == 1
end
local now = redis.call('TIME')
local last = math.max(tonumber(at), now[1] * 1000) + tonumber(ARGV[2])
redis.call('SET', KEYS[2], mark .. at, 'PXAT', string.format('%.0f', last))
if not live then return 0 end
local before = counted(KEYS[1])
redis.call('PEXPIREAT', KEYS[1], at)
note_for_load(KEYS[4], KEYS[1])
recount(KEYS[1], before)
keep_usage()
return 1
