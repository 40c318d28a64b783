-- Begins a load, unless another one of the same history is running or one that is not older is complete.
-- KEYS  record of the running load, record of the last complete one, stamp (framed caches only)
-- ARGV  id, snapshot in 20 digits, 'R' (replace) or 'I' (if older), '1' to load the last snapshot again, lineage,
--       ms for which the record lives, random
-- Answers {0} it runs, {1, snapshot} another one runs, {2, snapshot} it is complete.
local snapshot, mode, lineage = ARGV[2], ARGV[3], ARGV[5]
local stamp = ''
if KEYS[3] then stamp = stamp_of(KEYS[3], ARGV[7]) end
local running = redis.call('HMGET', KEYS[1], 'id', 'snapshot', 'lineage')
if running[1] == ARGV[1] then return {0} end
if running[1] and running[3] == lineage then return {1, running[2]} end
local done = redis.call('HMGET', KEYS[2], 'snapshot', 'mode', 'lineage', 'stamp')
if done[1] and done[3] == lineage and done[4] == stamp and snapshot ~= string.rep('0', 20) then
  local same = done[1] == snapshot and ARGV[4] ~= '1' and (done[2] == 'R' or mode == 'I')
  -- Texts of digits of one length compare as their numbers.
  if same or done[1] > snapshot then return {2, done[1]} end
end
redis.call('UNLINK', KEYS[1])
redis.call('HSET', KEYS[1], 'id', ARGV[1], 'snapshot', snapshot, 'mode', mode, 'lineage', lineage, 'stamp', stamp)
redis.call('PEXPIRE', KEYS[1], ARGV[6])
return {0}
