-- Reads how long an entry lives, and where there is none, its deadline; all at one moment. Changes nothing, so a stamp that
-- was lost is not replaced: without it only foreign entries are alive, and no deadlines are.
-- KEYS  entry, deadline, deadlines of the cache, notes for a load, and in framed caches: stamp, stamps of groups...
-- ARGV  declared groups
-- Answers {pttl of the live entry}, else {-2, deadline or nil, 1 if that has passed}; or asks.
local framed, stamp, live = KEYS[5], nil, nil
if framed then
  local held = redis.call('GET', KEYS[5]) or ''
  stamp = string.sub(held, 1, 16)
  live = live_version(KEYS[1], stamp, string.sub(held, 17, 17) ~= 's')
  if #undeclared > 0 then return ask() end
else
  live = bytes_of('STRLEN', KEYS[1]) and redis.call('EXISTS', KEYS[1]) == 1
end
if live then return {redis.call('PTTL', KEYS[1])} end
local mark = mark_of(KEYS[3], stamp)
local deadline = mark and mark ~= '' and bytes_of('GET', KEYS[2])
if not deadline or string.sub(deadline, 1, 16) ~= mark then return {-2} end
local at = string.sub(deadline, 17)
return {-2, tonumber(at), passed(at) and 1 or 0}
