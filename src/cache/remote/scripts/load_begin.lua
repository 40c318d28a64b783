-- Begins a load, unless another one of the same history is running or one that is not older is complete.
-- KEYS  record of the running load, notes for it, record of the last complete one, stamp (framed caches only)
-- ARGV  id, snapshot in 20 digits, 'R' (replace) or 'I' (if older), '1' to load the last snapshot again, history,
--       ms for which the record lives, random
-- Answers {0} it runs, {1} another one runs, {2, snapshot} it is complete.
local snapshot, mode, history = ARGV[2], ARGV[3], ARGV[5]
local stamp = KEYS[4] and stamp_of(KEYS[4], ARGV[7]) or ''
local running = redis.call('HMGET', KEYS[1], 'id', 'history')
if running[1] == ARGV[1] then return {0} end
if running[1] and running[2] == history then return {1} end
local done = redis.call('HMGET', KEYS[3], 'snapshot', 'mode', 'history', 'stamp')
if done[1] and done[3] == history and done[4] == stamp and snapshot ~= string.rep('0', 20) then
  local same = done[1] == snapshot and ARGV[4] ~= '1' and (done[2] == 'R' or mode == 'I')
  -- Texts of digits of one length compare as their numbers.
  if same or done[1] > snapshot then return {2, done[1]} end
end
redis.call('UNLINK', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'id', ARGV[1], 'snapshot', snapshot, 'mode', mode, 'history', history, 'stamp', stamp)
redis.call('RPUSH', KEYS[2], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[6])
redis.call('PEXPIRE', KEYS[2], ARGV[6])
return {0}
