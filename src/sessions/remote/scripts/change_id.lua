-- Gives a session a new id, once per operation.
-- KEYS  session, the same under the new id, index of the expected principal (if it has one), operation (if remembered)
-- ARGV  id, expected principal, new id, ms for which the operation is remembered or ''
-- Answers {1, new id}, or what `refusal` says.
local id, expected, new, kept = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if kept ~= '' then
  local done = redis.call('GET', KEYS[#KEYS])
  if done then return {1, done} end
end
local refused = refusal(expected)
if refused then
  -- Nobody but this call knows the new id: an earlier attempt did it, and its answer was lost.
  if refused[1] == 0 and redis.call('EXISTS', KEYS[2]) == 1 then return {1, new} end
  return refused
end
if kept ~= '' then redis.call('SET', KEYS[#KEYS], new, 'PX', kept) end
if expected ~= '' then
  local now = now_ms()
  enlist(KEYS[3], new, now, now + redis.call('PTTL', KEYS[1]))
  redis.call('ZREM', KEYS[3], id)
end
redis.call('RENAME', KEYS[1], KEYS[2])
return {1, new}
