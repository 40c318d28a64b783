-- Writes an entry of a raw cache in one atomic step, when a plain SET is not enough.
-- KEYS  entry, deadline, deadlines of the cache, notes for a load
-- ARGV  condition, version, expiry kind, ms, bytes, 'E' to answer with the existing entry
-- Answers as put_framed does.
local condition, expected, kind, ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local current = nil
if condition ~= 'N' or kind == 'K' then
  current = bytes_of('GET', KEYS[1])
end
local holds = condition == 'N'
  or (condition == 'A' and not current)
  or (condition == 'P' and current)
  or (condition == 'V' and current and digest(current) == expected)
if not holds then
  if ARGV[6] == 'E' then
    return {0, current, redis.call('PTTL', KEYS[1])}
  end
  return {0, current and digest(current) or false}
end
kind, ms = due(KEYS[2], mark_of(KEYS[3]), kind, ms)
store(KEYS[1], ARGV[5], kind, ms, current)
note_for_load(KEYS[4], KEYS[1])
return {1}
