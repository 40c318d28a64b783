-- Replaces the stamps of groups: every member of one of them is dead from here on. O(1) for each group.
-- KEYS  flush clock, notes for a load, stamps of the groups...     ARGV  random
local flush = tick(KEYS[1], ARGV[1])
for place = 3, #KEYS do
  redis.call('SET', KEYS[place], ARGV[1] .. flush)
  note_for_load(KEYS[2], KEYS[place])
end
return 1
