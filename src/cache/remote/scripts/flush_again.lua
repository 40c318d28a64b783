-- Flushes groups once more, unless they still have the stamps of the last flush.
-- KEYS  flush clock, stamps of the groups...     ARGV  random, the stamp of its last flush for each group
-- Answers a letter for each group: 'k' it has that stamp, 'f' it was flushed.
local states, flush = {}, nil
for place = 2, #KEYS do
  local state = 'k'
  if string.sub(bytes_of('GETEX', KEYS[place]) or '', 1, 16) ~= ARGV[place] then
    flush = flush or tick(KEYS[1], ARGV[1])
    redis.call('SET', KEYS[place], ARGV[1] .. flush)
    state = 'f'
  end
  states[place - 1] = state
end
return table.concat(states)
