-- Gives a lease back; answers whether it held until now.
-- KEYS  lease     ARGV  its name
local held = bytes_of('GETEX', KEYS[1])
if not held or string.sub(held, 1, 16) ~= ARGV[1] then return 0 end
return redis.call('UNLINK', KEYS[1])
