-- The flush clock of a cache: 16 random bytes, which tell it from one that was lost, and 8 bytes that count its flushes.
-- A missing one is made. It is read with GETEX, which is not tracked.
local function clock_of(key, random)
  local held = bytes_of('GETEX', key)
  if not held or #held ~= 24 then
    held = random .. struct.pack('>I8', 0)
    redis.call('SET', key, held)
  end
  return string.sub(held, 1, 16), struct.unpack('>I8', string.sub(held, 17))
end

-- The next flush: its number, as the clock and the stamps have it.
local function tick(key, random)
  local incarnation, number = clock_of(key, random)
  local flush = struct.pack('>I8', number + 1)
  redis.call('SET', key, incarnation .. flush)
  return flush
end
