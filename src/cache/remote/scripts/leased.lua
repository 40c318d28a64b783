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

-- Whether what was loaded under the lease of that name may be stored: nothing that it may be made from was replaced,
-- removed, cleared or flushed since. The first `count` declared groups are those of the new entry.
local function may_fill(lease, name, stamp, history, version, count, clock, random)
  if not lease or lease.name ~= name or not is_of(lease, stamp, history, version) then return false end
  return unflushed(count, lease.incarnation, lease.flushes, clock, random)
end
