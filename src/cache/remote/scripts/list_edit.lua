-- Changes a list in one atomic step, once per operation. See src/cache/list.rs for what a list looks like.
-- KEYS  entry, operation, deadline, deadlines of the cache, notes for a load, and in framed caches: stamp, what waits
--       for the entry, lease, records of usage..., stamps of groups...
-- ARGV  expiry kind and ms if it is created, ms for which the operation is remembered or '', random, header before the
--       stamp, most bytes, most members, how many members go and how many come, those that go, those that come, declared
--       groups
-- Answers {1, version, list, 1 if anything was changed now}, or {0, 'N'} if the entry is not a list, or {0, 'L'} if
-- that has or would have too much; what is beyond a quota; or asks.
local kind, ms, kept, most = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[7])
local framed = KEYS[6]
if kept ~= '' then
  local done = bytes_of('GET', KEYS[2])
  if done then
    local length = string.byte(done, 1)
    return {1, string.sub(done, 2, 1 + length), string.sub(done, 2 + length), 0}
  end
end

-- A length of up to 28 bits in as few bytes as it needs, and where the member begins.
local function length_at(bytes, at)
  local length, unit = 0, 1
  for place = 0, 3 do
    local byte = string.byte(bytes, at + place)
    if not byte then return nil end
    length = length + (byte % 128) * unit
    if byte < 128 then
      if byte == 0 and place > 0 then return nil end
      return length, at + place + 1
    end
    unit = unit * 128
  end
  return nil
end

local function encoded(member)
  local length, head = #member, '\10'
  while length >= 128 do
    head = head .. string.char(length % 128 + 128)
    length = math.floor(length / 128)
  end
  return head .. string.char(length) .. member
end

local stamp, version, bytes, tail = nil, nil, nil, nil
if framed then
  local clean
  stamp, clean = stamp_of(KEYS[6], ARGV[4])
  version, tail = live_version(KEYS[1], stamp, clean)
  if #undeclared > 0 then return ask() end
  if version then
    bytes = redis.call('GET', KEYS[1])
    if tail then
      if string.byte(bytes, 6) % 2 == 1 then return {0, 'N'} end
      bytes = string.sub(bytes, 41 + #tail)
    end
  end
else
  bytes = bytes_of('GET', KEYS[1])
  if not bytes and redis.call('EXISTS', KEYS[1]) == 1 then return {0, 'N'} end
  version = bytes and digest(bytes)
end

local goes, present, list, count = {}, {}, {}, 0
local first = 10 + tonumber(ARGV[8])
for place = 10, first - 1 do goes[ARGV[place]] = true end
local at, members = 1, 0
while bytes and at <= #bytes do
  members = members + 1
  if members > most then return {0, 'L'} end
  if string.byte(bytes, at) ~= 10 then return {0, 'N'} end
  local length, begin = length_at(bytes, at + 1)
  if not length or begin + length - 1 > #bytes then return {0, 'N'} end
  local member = string.sub(bytes, begin, begin + length - 1)
  if not goes[member] then
    present[member] = true
    count = count + 1
    list[count] = string.sub(bytes, at, begin + length - 1)
  end
  at = begin + length
end
for place = first, first + tonumber(ARGV[9]) - 1 do
  local member = ARGV[place]
  if not present[member] then
    present[member], count = true, count + 1
    list[count] = encoded(member)
  end
end
local after = table.concat(list)
local same = version and after == bytes
if not same then
  bytes = after
  if count > most or #bytes > tonumber(ARGV[6]) then return {0, 'L'} end
  if version then kind, ms = 'K', '' end
  local header, groups, before = '', {}, nil
  if framed then
    if not version then groups = waiting(KEYS[7]) end
    header = frame(ARGV[5], stamp, tail or write_groups(groups))
    local refused
    refused, before = beyond(KEYS[1], stamp, #header + #bytes)
    if refused then return refused end
  end
  kind, ms = due(KEYS[3], mark_of(KEYS[4], stamp), kind, ms)
  store(KEYS[1], header .. bytes, kind, ms, version)
  if #groups > 0 then redis.call('UNLINK', KEYS[7]) end
  if framed then
    recount(KEYS[1], before, #header + #bytes)
    keep_usage()
    redis.call('UNLINK', KEYS[8])
  end
  version = framed and string.sub(ARGV[5], 9, 24) or digest(bytes)
end
-- Also where nothing is changed: what is being loaded may lack what the list has.
note_for_load(KEYS[5], KEYS[1])
if kept ~= '' then
  redis.call('SET', KEYS[2], string.char(#version) .. version .. bytes, 'PX', kept)
end
return {1, version, bytes, same and 0 or 1}
