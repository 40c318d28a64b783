-- Ends a session.
-- KEYS  session, index of the expected principal (if it has one)     ARGV  id, expected principal
-- Answers {1}, or what `refusal` says.
local id, expected = ARGV[1], ARGV[2]
local refused = refusal(expected)
if refused then return refused end
redis.call('UNLINK', KEYS[1])
if expected ~= '' then redis.call('ZREM', KEYS[2], id) end
return {1}
