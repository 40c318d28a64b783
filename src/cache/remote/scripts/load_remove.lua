-- Removes entries that are not in a load, but those that others wrote since it began. Of a framed cache, what is dead
-- already is left to whoever sweeps, and so are foreign entries where the name may be another cache's (ARGV[3] = '1').
-- KEYS  record of the load, notes for it, stamp (framed caches; else the record once more), entries..., records of
--       usage..., stamps of groups...
-- ARGV  id, 'F' or 'R', '1' if the name is shared, random, declared groups
-- Answers a letter for each entry: 'r' removed, '-' not; or nothing at all if the load is over; or asks.
if not is_running(KEYS[1], KEYS[2], ARGV[1]) then return '' end
local framed, stamp, clean = ARGV[2] == 'F', nil, nil
if framed then
  stamp, clean = stamp_of(KEYS[3], ARGV[4])
  if redis.call('HGET', KEYS[1], 'stamp') ~= stamp then
    end_of_load(KEYS[1], KEYS[2])
    return ''
  end
end
local last, doomed = #KEYS - #records - #declared_names, {}
for place = 4, last do
  local goes = not is_edited(KEYS[1], KEYS[place])
  if goes and framed then
    local ours = bytes_of('GETRANGE', KEYS[place], 0, 3) == MAGIC
    goes = (ours or ARGV[3] ~= '1') and live_version(KEYS[place], stamp, clean) ~= nil
  end
  doomed[place] = goes
end
if #undeclared > 0 then return ask() end
local states = {}
for place = 4, last do
  local before = framed and doomed[place] and counted(KEYS[place])
  states[place - 3] = doomed[place] and redis.call('UNLINK', KEYS[place]) == 1 and 'r' or '-'
  if before then recount(KEYS[place], before) end
end
if framed then keep_usage() end
return table.concat(states)
