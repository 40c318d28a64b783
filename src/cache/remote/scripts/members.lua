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
