-- The stamp of a framed cache. Its key holds 16 random bytes and one of: 'c' (clean) or 's' (a clear is being swept: foreign
-- entries, which have no stamp that the clear could have replaced, are absent until they have been removed). Needs
-- tracked.lua or untracked.lua.

-- The stamp of a cache; a missing or damaged one is made from random bytes, so that loss only ever invalidates.
local function stamp_of(key, random)
  local held = redis.call(READ, key)
  if not held or #held ~= 17 then
    held = random .. 'c'
    redis.call('SET', key, held)
  end
  return string.sub(held, 1, 16), string.sub(held, 17, 17) ~= 's'
end

-- The header of an entry: what comes before the stamp, the stamp, and its groups.
local function frame(head, stamp, tail)
  return string.sub(head, 1, 6) .. struct.pack('>I2', 40 + #tail) .. string.sub(head, 9) .. stamp .. tail
end
