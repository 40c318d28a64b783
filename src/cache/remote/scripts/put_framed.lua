-- Writes an entry of a framed cache, and makes it a member of groups, in one atomic step.
-- KEYS  entry, stamp, what waits for the entry, flush clock, deadline, deadlines of the cache, lease, notes for a load,
--       records of usage...,
--       stamps of groups...
-- ARGV  condition (N none, A absent, P present, V version), version, expiry kind, ms, random, header before the stamp,
--       value, 'E' to answer with the existing entry, how many of the declared groups are joined, the name of the lease
--       under which the value was loaded or '', history, declared groups
-- Answers {1}, or {0, version or nil}, or with 'E' {0, bytes of the entry, pttl}; {-2} if there are too many groups; what
-- is beyond a quota; or asks.
local condition, expected, kind, ms, random = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local lease, history = ARGV[10], ARGV[11]
local stamp, clean = stamp_of(KEYS[2], random)
local version = nil
if condition ~= 'N' or kind == 'K' or lease ~= '' then
  version = live_version(KEYS[1], stamp, clean)
  if #undeclared > 0 then return ask() end
end
local holds = condition == 'N'
  or (condition == 'A' and not version)
  or (condition == 'P' and version)
  or (condition == 'V' and version == expected)
if not holds and ARGV[8] == 'E' then
  return {0, redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1])}
end
if lease ~= '' then
  local held = bound_to(bytes_of('GETEX', KEYS[7]))
  holds = holds and may_fill(held, lease, stamp, history, version, tonumber(ARGV[9]), KEYS[4], random)
  -- It is of no use to its owner any more, and would keep the others waiting.
  if not holds and held and held.name == lease then redis.call('UNLINK', KEYS[7]) end
end
if not holds then return {0, version or false} end
local groups = waiting(KEYS[3])
local waited = #groups > 0
if not join(groups, tonumber(ARGV[9]), random, KEYS[4]) then return {-2} end
local bytes = frame(ARGV[6], stamp, write_groups(groups)) .. ARGV[7]
local refused, before = beyond(KEYS[1], stamp, #bytes)
if refused then return refused end
kind, ms = due(KEYS[5], mark_of(KEYS[6], stamp), kind, ms)
store(KEYS[1], bytes, kind, ms, version)
recount(KEYS[1], before, #bytes)
keep_usage()
if waited then redis.call('UNLINK', KEYS[3]) end
redis.call('UNLINK', KEYS[7])
note_for_load(KEYS[8], KEYS[1])
return {1}
