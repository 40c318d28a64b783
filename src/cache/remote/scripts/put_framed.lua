-- Writes an entry of a framed cache in one atomic step.
-- KEYS  entry, stamp, record of a running load
-- ARGV  condition (N none, A absent, P present, V version), version, expiry kind, ms, random,
--       header before the stamp, header after it, value, 'E' to answer with the existing entry
-- Answers {1}, or {0, version or nil}, or with 'E' {0, bytes of the entry, pttl}.
local condition, expected, kind, ms, random = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local stamp, clean = stamp_of(KEYS[2], random)
local version = nil
if condition ~= 'N' or kind == 'K' then
  version = live_version(KEYS[1], stamp, clean)
end
local holds = condition == 'N'
  or (condition == 'A' and not version)
  or (condition == 'P' and version)
  or (condition == 'V' and version == expected)
if not holds then
  if ARGV[9] == 'E' then
    return {0, redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1])}
  end
  return {0, version or false}
end
note_for_load(KEYS[3], KEYS[1])
store(KEYS[1], ARGV[6] .. stamp .. ARGV[7] .. ARGV[8], kind, ms, version)
return {1}
