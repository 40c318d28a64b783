-- Included before every script that reads with GETEX, which Redis takes for a write, and then stores: after a write a
-- script is not refused any more when Redis is full. Storing nothing behind nothing changes nothing, and is refused.
local full = redis.pcall('SETRANGE', KEYS[1], 0, '')
if type(full) == 'table' and full.err and string.sub(full.err, 1, 3) == 'OOM' then return full end
