-- Removes, of the keys given, dead entries of a framed cache and foreign ones. A foreign entry that was written
-- after the clear goes too, which is safe for a cache. Entries under other stamps are not touched when they may
-- belong to another cache of the same Redis name (ARGV[2] = '1').
-- KEYS  stamp, entries...     ARGV  random, '1' if the name is shared, no declared groups
local stamp = stamp_of(KEYS[1], ARGV[1])
local removed = 0
for place = 2, #KEYS do
  local head = bytes_of('GETRANGE', KEYS[place], 0, 40)
  if head then
    local ours = string.sub(head, 1, 4) == MAGIC
    local dead = ours and ARGV[2] ~= '1' and string.sub(head, 25, 40) ~= stamp
    if dead or not ours then
      removed = removed + redis.call('UNLINK', KEYS[place])
    end
  end
end
return removed
