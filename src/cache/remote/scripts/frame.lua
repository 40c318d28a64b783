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

-- Nil: absent. Otherwise the version of the live entry. Dead entries and keys of another type are absent.
local function live_version(key, stamp, clean)
  local head = bytes_of('GETRANGE', key, 0, 40)
  if not head then return nil end
  if string.sub(head, 1, 4) == MAGIC then
    if #head < 41 or string.byte(head, 5) ~= 1 then return nil end
    if string.sub(head, 25, 40) ~= stamp then return nil end
    return string.sub(head, 9, 24)
  end
  if not clean then return nil end
  if head == '' and redis.call('EXISTS', key) == 0 then return nil end
  return digest(redis.call('GET', key))
end
