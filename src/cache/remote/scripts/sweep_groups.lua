-- Removes, of the keys given, live entries of a framed cache that are dead by one of the declared groups.
-- KEYS  stamp, entries..., records of usage..., stamps of groups...     ARGV  random, declared groups
local stamp = stamp_of(KEYS[1], ARGV[1])
local removed = 0
for place = 2, #KEYS - #declared_names - #records do
  local head = bytes_of('GETRANGE', KEYS[place], 0, 40)
  if head and #head == 41 and string.sub(head, 1, 4) == MAGIC and string.sub(head, 25, 40) == stamp then
    local groups = read_groups(tail_of(KEYS[place], head))
    if groups and not are_current(groups) then
      local before = counted(KEYS[place])
      removed = removed + redis.call('UNLINK', KEYS[place])
      recount(KEYS[place], before)
    end
  end
end
if removed > 0 then keep_usage() end
return removed
