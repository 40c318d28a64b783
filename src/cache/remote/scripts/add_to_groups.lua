-- Makes a live entry a member of groups; before there is one, keeps the groups for it, with the stamps of this moment.
-- KEYS  entry, stamp, what waits for the entry, flush clock, records of usage..., stamps of groups...
-- ARGV  random, ms for which the groups wait, how many of the declared groups are joined, declared groups
-- Answers {1} or {0} (they wait), {-2} if the entry would be in too many groups, or asks.
local random = ARGV[1]
local stamp, clean = stamp_of(KEYS[2], random)
local version, tail = live_version(KEYS[1], stamp, clean)
if #undeclared > 0 then return ask() end
if tail then
  local groups, length = read_groups(tail)
  local before = #groups
  if not join(groups, tonumber(ARGV[3]), random, KEYS[4]) then return {-2} end
  if #groups > before then
    local bytes, counts = redis.call('GET', KEYS[1]), counted(KEYS[1])
    -- What a later version has written behind the groups stays.
    local rest = write_groups(groups) .. string.sub(tail, length + 1)
    bytes = frame(string.sub(bytes, 1, 24), stamp, rest) .. string.sub(bytes, 41 + #tail)
    redis.call('SET', KEYS[1], bytes, 'KEEPTTL')
    recount(KEYS[1], counts, counts and #bytes)
    keep_usage()
  end
  return {1}
end
local groups = join(waiting(KEYS[3]), tonumber(ARGV[3]), random, KEYS[4])
if not groups then return {-2} end
-- A foreign entry has no header that could name groups: it goes, since a flush could not reach it.
if version then redis.call('UNLINK', KEYS[1]) end
redis.call('SET', KEYS[3], write_groups(groups), 'PX', ARGV[2])
return {0}
