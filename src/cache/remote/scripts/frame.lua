-- Included before every script that touches a framed cache. See src/cache/frame.rs for the header.
-- A stamp key holds 16 random bytes and one of: 'c' (clean) or 's' (a clear is being swept: foreign entries,
-- which have no stamp that the clear could have replaced, are absent until they have been removed).
local MAGIC = '\245vdt'

-- The stamp of a cache; a missing or damaged one is made from random bytes, so that loss only ever invalidates.
local function stamp_of(key, random)
  local held = redis.call('GET', key)
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

-- The groups in the header of an entry of ours that begins with these 41 bytes, and what else comes before the value.
local function tail_of(key, head)
  local length = string.byte(head, 7) * 256 + string.byte(head, 8)
  if length <= 41 then return string.sub(head, 41) end
  return redis.call('GETRANGE', key, 40, length - 1)
end

-- Nil: absent. Otherwise the version of the live entry, and if it is ours, its groups as its header has them. Dead
-- entries and keys of another type are absent. Where groups are undeclared, the answer counts for nothing.
local function live_version(key, stamp, clean)
  local head = bytes_of('GETRANGE', key, 0, 40)
  if not head then return nil end
  if string.sub(head, 1, 4) == MAGIC then
    if #head < 41 or string.byte(head, 5) ~= 1 then return nil end
    if string.sub(head, 25, 40) ~= stamp then return nil end
    local tail = tail_of(key, head)
    local groups = read_groups(tail)
    if not groups or not are_current(groups) then return nil end
    return string.sub(head, 9, 24), tail
  end
  if not clean then return nil end
  if head == '' and redis.call('EXISTS', key) == 0 then return nil end
  return digest(redis.call('GET', key))
end
