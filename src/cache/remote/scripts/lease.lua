-- Gives one caller the right to fill an entry.
-- KEYS  entry, stamp, lease, flush clock, stamps of groups...
-- ARGV  name of the lease, ms for which it holds, ms left from which on a live entry is to be filled anew or '', random,
--       history, declared groups
-- Answers {1} if it is given, {2, ms for which another one holds}, {0} if there is an entry that needs none; or asks.
local name, history = ARGV[1], ARGV[5]
local stamp, clean = stamp_of(KEYS[2], ARGV[4])
local version = live_version(KEYS[1], stamp, clean)
if #undeclared > 0 then return ask() end
if version then
  local left = redis.call('PTTL', KEYS[1])
  if ARGV[3] == '' or left < 0 or left > tonumber(ARGV[3]) then return {0} end
end
-- This read is tracked, so whoever waits is told when the lease goes.
local held = bound_to(bytes_of('GET', KEYS[3]))
-- One under which nothing can be stored any more, because of a clear, a new history or the end of the entry that it was
-- to replace, keeps nobody waiting.
if held and is_of(held, stamp, history, version) then
  if held.name == name then return {1} end
  return {2, redis.call('PTTL', KEYS[3])}
end
local incarnation, flushes = clock_of(KEYS[4], ARGV[4])
local bound = name .. stamp .. incarnation .. struct.pack('>I8', flushes) .. string.char(#history) .. history
redis.call('SET', KEYS[3], bound .. (version or ''), 'PX', ARGV[2])
return {1}
