-- Included before every script that may meet an entry with groups. See src/cache/frame.rs for how a header names them.
-- A group stamp key holds 16 random bytes and 8 bytes of the number of the flush at which it was made or replaced.
--
-- To judge such an entry a script reads the stamps of its groups, whose keys only the entry knows. The caller declares
-- those that it believes in: the last argument begins with how many, the arguments before it are their names, and the last
-- keys are their keys, in the same order. A script that meets other groups changes nothing and asks for them.
local MOST_GROUPS = 16
local declared, declared_names = {}, {}
do
  local count = tonumber(string.match(ARGV[#ARGV], '^%d+'))
  for place = 1, count do
    declared_names[place] = ARGV[#ARGV - 1 - count + place]
    declared[declared_names[place]] = KEYS[#KEYS - count + place]
  end
end
-- Groups that must be declared before the script can decide.
local undeclared = {}
local function ask()
  return {-1, unpack(undeclared)}
end

-- A list of {name, stamp}, and the length of all of it; nil if it is damaged.
local function read_groups(bytes)
  local groups, at = {}, 2
  for place = 1, string.byte(bytes, 1) or 0 do
    local length = string.byte(bytes, at)
    if not length or #bytes < at + length + 16 then return nil end
    groups[place] = {string.sub(bytes, at + 1, at + length), string.sub(bytes, at + length + 1, at + length + 16)}
    at = at + length + 17
  end
  return groups, at - 1
end

local function write_groups(groups)
  local parts = {string.char(#groups)}
  for place, group in ipairs(groups) do
    parts[place + 1] = string.char(#group[1]) .. group[1] .. group[2]
  end
  return table.concat(parts)
end

-- False if one of the groups was flushed since. GETEX reads as GET does, but is not tracked: whoever keeps copies reads
-- the stamps by itself.
local function are_current(groups)
  local unknown = {}
  for _, group in ipairs(groups) do
    local key = declared[group[1]]
    if not key then
      unknown[#unknown + 1] = group[1]
    elseif string.sub(bytes_of('GETEX', key) or '', 1, 16) ~= group[2] then
      return false
    end
  end
  for _, name in ipairs(unknown) do undeclared[#undeclared + 1] = name end
  return true
end
