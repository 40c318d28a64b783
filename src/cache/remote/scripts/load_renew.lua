-- Lets a load go on for some time, or ends it.
-- KEYS  record of the load     ARGV  id, ms or '' to end it
-- Answers 1, or -1 if the load is over.
if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then return -1 end
if ARGV[2] == '' then
  redis.call('UNLINK', KEYS[1])
else
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 1
