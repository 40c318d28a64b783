-- Replaces the stamps of groups: every member of one of them is dead from here on. O(1) for each group.
-- A running load ends: of its entries nobody can tell which ones the flush would have meant.
-- KEYS  flush clock, record of a running load, stamps of the groups...     ARGV  random
redis.call('UNLINK', KEYS[2])
local flush = tick(KEYS[1], ARGV[1])
for place = 3, #KEYS do
  redis.call('SET', KEYS[place], ARGV[1] .. flush)
end
return 1
