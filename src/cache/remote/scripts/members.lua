-- Joining groups. Needs groups.lua and clock.lua.

-- The current stamp of a declared group; a missing one is made from random bytes, so that loss only ever invalidates.
local function stamp_of_group(name, random, clock)
  local held = bytes_of('GETEX', declared[name])
  if not held or #held ~= 24 then
    local _, number = clock_of(clock, random)
    held = random .. struct.pack('>I8', number)
    redis.call('SET', declared[name], held)
  end
  return string.sub(held, 1, 16)
end

-- Adds to groups the first `count` of those that were declared, with their current stamps. One that is there already
-- keeps its older stamp: if it was flushed since, the entry is to be dead. Nil if there are too many in the end.
local function join(groups, count, random, clock)
  local known = {}
  for _, group in ipairs(groups) do known[group[1]] = true end
  for place = 1, count do
    local name = declared_names[place]
    if not known[name] then
      known[name] = true
      groups[#groups + 1] = {name, stamp_of_group(name, random, clock)}
    end
  end
  if #groups > MOST_GROUPS then return nil end
  return groups
end

-- The groups that wait for the value of a key, with the stamps of the moment at which they were added. GETEX is not
-- tracked.
local function waiting(key)
  local held = bytes_of('GETEX', key)
  return held and read_groups(held) or {}
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
