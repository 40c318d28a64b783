-- Leases. Needs groups.lua, clock.lua and members.lua.
-- A lease key holds what the lease is bound to: 16 bytes of its name, the stamp of the cache, the flush clock, the length
-- of the history and the history, and the version of the entry that is to be replaced, if there was one.
local function bound_to(held)
  if not held or #held < 57 then return nil end
  local length = string.byte(held, 57)
  return {
    name = string.sub(held, 1, 16),
    stamp = string.sub(held, 17, 32),
    incarnation = string.sub(held, 33, 48),
    flushes = struct.unpack('>I8', string.sub(held, 49, 56)),
    history = string.sub(held, 58, 57 + length),
    version = string.sub(held, 58 + length),
  }
end

-- Whether the cache, the history and the entry are those of the lease.
local function is_of(lease, stamp, history, version)
  return lease.stamp == stamp and lease.history == history and lease.version == (version or '')
end

-- Whether none of the first `count` declared groups was flushed since the flush clock of the cache stood so. The stamp of
-- one that was lost says nothing, so then no group of the cache may have been flushed; it is made anew, for the next
-- lease to tell.
local function unflushed(count, incarnation, flushes, clock, random)
  local same, number = clock_of(clock, random)
  if same ~= incarnation then return false end
  if number == flushes then return true end
  local all = true
  for place = 1, count do
    local held = bytes_of('GETEX', declared[declared_names[place]])
    if not held or #held ~= 24 then
      stamp_of_group(declared_names[place], random, clock)
      all = false
    elseif struct.unpack('>I8', string.sub(held, 17)) > flushes then
      all = false
    end
  end
  return all
end

-- Whether what was loaded under the lease of that name may be stored: nothing that it may be made from was replaced,
-- removed, cleared or flushed since. The first `count` declared groups are those of the new entry.
local function may_fill(lease, name, stamp, history, version, count, clock, random)
  if not lease or lease.name ~= name or not is_of(lease, stamp, history, version) then return false end
  return unflushed(count, lease.incarnation, lease.flushes, clock, random)
end
