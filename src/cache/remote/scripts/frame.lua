-- Included before every script that touches a framed cache. See src/cache/frame.rs for the header.
local MAGIC = '\245vdt'

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
