-- Extends the life of a session.
-- KEYS  session, index of the expected principal (if it has one)     ARGV  id, expected principal
-- Answers {1}, or what `refusal` says.
local id, expected = ARGV[1], ARGV[2]
local refused = refusal(expected)
if refused then return refused end
local now = now_ms()
local ends = now + tonumber(redis.call('HGET', KEYS[1], 'max_inactive'))
redis.call('HSET', KEYS[1], 'accessed', whole(now))
redis.call('PEXPIREAT', KEYS[1], whole(ends))
if expected ~= '' then enlist(KEYS[2], id, now, ends) end
return {1}
