-- What quotas count: entries, and bytes of their keys and values. Needs bytes.lua; included where entries of framed caches
-- are changed and have a quota; elsewhere uncounted.lua stands in its place.
--
-- The records stand before the stamps of groups; the last argument tells behind the number of those how many entries and
-- bytes each of them may come to, ' entries,bytes', where nothing is no bound. The first is of the cache, the second, if
-- there is one, of its tenant, and has everything that those of its caches have.
--
-- A record is a hash. Each field that is a deadline in ms (or 'never') holds '<entries> <bytes>' of the entries that end
-- then or since the deadline before it, which is `width` ms earlier; so an entry is found again by when it ends. `entries`
-- and `bytes` are the sums of all fields; `first` and `last` are the earliest and the latest deadline, or beyond that.
-- What has passed is dropped by the next write, so nobody has to see entries expire. `stamp`, in that of a cache: entries
-- with this one in their headers are what is counted. Nothing falls below zero.
local MOST_DEADLINES, NARROWEST, OTHER_FIELDS = 64, 1000, 6
local records, clock_ms = {}, nil
do
  local last, count = ARGV[#ARGV], 0
  for entries, bytes in string.gmatch(last, ' (%d*),(%d*)') do
    count = count + 1
    records[count] = {most = {tonumber(entries), tonumber(bytes)}}
  end
  local before = #KEYS - tonumber(string.match(last, '^%d+')) - count
  for place = 1, count do records[place].key = KEYS[before + place] end
end

local function deadline_in(text)
  return text == 'never' and math.huge or tonumber(text)
end

local function field_of(deadline)
  return deadline == math.huge and 'never' or string.format('%.0f', deadline)
end

local function rounded(record, at)
  return at < 0 and math.huge or math.ceil(at / record.width) * record.width
end

local function two_numbers(text)
  local entries, bytes = string.match(text or '0 0', '^(%d+) (%d+)$')
  return {tonumber(entries), tonumber(bytes)}
end

-- Calls for each deadline of a record, with its sum.
local function each_deadline(record, call)
  local held = redis.call('HGETALL', record.key)
  for at = 1, #held, 2 do
    local deadline = deadline_in(held[at])
    if deadline then call(deadline, two_numbers(held[at + 1])) end
  end
end

local function stretch(record, deadline)
  if deadline < record.first or deadline > record.last then record.moved = true end
  record.first, record.last = math.min(record.first, deadline), math.max(record.last, deadline)
end

local function add(record, deadline, entries, bytes)
  local field = field_of(deadline)
  local sum = record.sums[field]
  if not sum then sum = two_numbers(not record.anew and redis.call('HGET', record.key, field)) end
  local now = {math.max(sum[1] + entries, 0), 0}
  if now[1] > 0 then now[2] = math.max(sum[2] + bytes, 0) end
  record.sums[field] = now
  record.entries, record.bytes = record.entries + now[1] - sum[1], record.bytes + now[2] - sum[2]
  if entries > 0 then stretch(record, deadline) end
end

local function begin(record, stamp)
  record.stamp, record.width, record.sums, record.moved = stamp, NARROWEST, {}, true
  record.entries, record.bytes, record.first, record.last = 0, 0, math.huge, 0
end

local function read_records()
  if clock_ms then return end
  local time = redis.call('TIME')
  clock_ms = time[1] * 1000 + math.floor(time[2] / 1000)
  for _, record in ipairs(records) do
    begin(record, '')
    local held = redis.call('HMGET', record.key, 'stamp', 'width', 'entries', 'bytes', 'first', 'last')
    if held[2] then
      record.stamp, record.width, record.moved = held[1] or '', tonumber(held[2]), false
      record.entries, record.bytes = tonumber(held[3]), tonumber(held[4])
      record.first, record.last = deadline_in(held[5]), deadline_in(held[6])
    end
    if record.first <= clock_ms then
      record.first, record.last, record.moved = math.huge, 0, true
      each_deadline(record, function(deadline, sum)
        if deadline <= clock_ms then
          add(record, deadline, -sum[1], 0)
        else
          stretch(record, deadline)
        end
      end)
    end
  end
end

-- What was counted under another stamp is dead: the record of the cache begins anew, and the tenant has so much less.
local function bind(stamp)
  read_records()
  local own, all = records[1], records[2]
  if own.stamp == stamp then return end
  each_deadline(own, function(deadline, sum)
    if all then add(all, rounded(all, deadline == math.huge and -1 or deadline), -sum[1], -sum[2]) end
  end)
  begin(own, stamp)
  own.anew = true
end

-- When an entry ends, in ms; -1: never, -2: there is none.
local function end_of(key)
  local at = redis.pcall('PEXPIRETIME', key)
  if type(at) == 'number' then return at end
  -- Redis before 7.0.
  local left = redis.call('PTTL', key)
  return left < 0 and left or clock_ms + left
end

-- Nil unless the entry is one that is counted; else its bytes and when it ends.
local function counted(key)
  read_records()
  local head = bytes_of('GETRANGE', key, 0, 40)
  if not head or string.sub(head, 1, 4) ~= '\245vdt' or string.sub(head, 25, 40) ~= records[1].stamp then return nil end
  return {#key + redis.call('STRLEN', key), end_of(key)}
end

-- To be asked before anything is changed: whether an entry of that many bytes under that stamp would be too much. What is
-- not larger than the entry whose place it takes never is. Tells what is to be answered then, else nil; and what `counted`
-- says of the entry that is there.
local function beyond(key, stamp, bytes)
  bind(stamp)
  local before = counted(key)
  local more = {before and 0 or 1, #key + bytes - (before and before[1] or 0)}
  for place, record in ipairs(records) do
    for bound, used in ipairs({record.entries, record.bytes}) do
      local most = record.most[bound]
      if most and more[bound] > 0 and used + more[bound] > most then
        return {-3, place, bound, used}, before
      end
    end
  end
  return nil, before
end

-- Notes what has become of an entry, of which `counted` said `before`: it may have gone, and has that many bytes now, or as
-- many as before. One that was not counted, and was not stored now, is not counted.
local function recount(key, before, bytes)
  local size, at = bytes and #key + bytes or before and before[1], end_of(key)
  for _, record in ipairs(records) do
    if before then add(record, rounded(record, before[2]), -1, -before[1]) end
    if size and at ~= -2 then add(record, rounded(record, at), 1, size) end
  end
end

-- Doubles the distance of the deadlines until there are few enough.
local function widen(record)
  local sums, count = {}, 0
  each_deadline(record, function(deadline, sum) sums[deadline] = sum end)
  repeat
    local narrow = sums
    record.width, record.first, record.last, sums, count = record.width * 2, math.huge, 0, {}, 0
    for deadline, sum in pairs(narrow) do
      local wide = rounded(record, deadline == math.huge and -1 or deadline)
      if not sums[wide] then sums[wide], count = {0, 0}, count + 1 end
      sums[wide] = {sums[wide][1] + sum[1], sums[wide][2] + sum[2]}
      stretch(record, wide)
    end
  until count <= MOST_DEADLINES
  redis.call('UNLINK', record.key)
  for deadline, sum in pairs(sums) do
    redis.call('HSET', record.key, field_of(deadline), string.format('%.0f %.0f', sum[1], sum[2]))
  end
end

local function keep(record)
  if record.anew or record.entries <= 0 then redis.call('UNLINK', record.key) end
  if record.entries <= 0 then return end
  local set, gone = {}, {}
  for field, sum in pairs(record.sums) do
    if sum[1] > 0 then
      set[#set + 1], set[#set + 2] = field, string.format('%.0f %.0f', sum[1], sum[2])
    else
      gone[#gone + 1] = field
    end
  end
  if #gone > 0 then redis.call('HDEL', record.key, unpack(gone)) end
  local added = #set > 0 and redis.call('HSET', record.key, unpack(set)) or 0
  if added > 0 and redis.call('HLEN', record.key) > MOST_DEADLINES + OTHER_FIELDS then
    widen(record)
    record.moved = true
  end
  local sums = {'entries', string.format('%.0f', record.entries), 'bytes', string.format('%.0f', record.bytes)}
  if not record.moved then
    redis.call('HSET', record.key, unpack(sums))
    return
  end
  redis.call('HSET', record.key, 'stamp', record.stamp, 'width', string.format('%.0f', record.width),
    'first', field_of(record.first), 'last', field_of(record.last), unpack(sums))
  if record.last == math.huge then
    redis.call('PERSIST', record.key)
  else
    redis.call('PEXPIREAT', record.key, field_of(record.last))
  end
end

-- Stores what was noted, if anything was.
local function keep_usage()
  if not clock_ms then return end
  for _, record in ipairs(records) do keep(record) end
end
