-- Lets a load go on for some time, or ends it.
-- KEYS  record of the load, notes for it     ARGV  id, ms or '' to end it
-- Answers 1, or -1 if the load is over.
if not is_running(KEYS[1], KEYS[2], ARGV[1]) then return -1 end
if ARGV[2] == '' then
  end_of_load(KEYS[1], KEYS[2])
else
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
end
return 1
