-- What quotas count: entries, and bytes of their keys and values. Needs bytes.lua; included where entries of framed caches
-- are changed and have a quota; elsewhere uncounted.lua stands in its place.
--
-- The records stand before the stamps of groups; the last argument tells behind the number of those how many entries and
-- bytes each of them may come to, ' entries,bytes', where nothing is no bound. The first is of the cache, the second, if
-- there is one, of its tenant, and has everything that those of its caches have.
--
-- A record is a hash. Each field that is a deadline in ms (or 'never') holds '<entries> <bytes>' of the entries that end
-- then or before, down to the field before it; one that has passed counts no more, so nobody has to see entries expire.
-- `width` is the distance in ms of these deadlines, which depends on nothing else, so an entry is found again by its own.
-- `stamp`, in that of a cache: entries with this one in their header are what is counted. Nothing falls below zero.
local MOST_DEADLINES, NARROWEST = 64, 1000
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

local function read_records()
  if clock_ms then return end
  local time = redis.call('TIME')
  clock_ms = time[1] * 1000 + math.floor(time[2] / 1000)
  for _, record in ipairs(records) do
    record.sums, record.changed, record.width, record.stamp = {}, {}, NARROWEST, ''
    local held = redis.call('HGETALL', record.key)
    for at = 1, #held, 2 do
      local field, value = held[at], held[at + 1]
      if field == 'stamp' then
        record.stamp = value
      elseif field == 'width' then
        record.width = tonumber(value)
      elseif field ~= 'never' and tonumber(field) <= clock_ms then
        record.changed[field] = true
      else
        local entries, bytes = string.match(value, '^(%d+) (%d+)$')
        record.sums[field] = {tonumber(entries), tonumber(bytes)}
      end
    end
  end
end

local function field_of(record, at)
  if at < 0 then return 'never' end
  return string.format('%.0f', math.ceil(at / record.width) * record.width)
end

local function add(record, field, entries, bytes)
  local sum = record.sums[field] or {0, 0}
  sum = {math.max(sum[1] + entries, 0), math.max(sum[2] + bytes, 0)}
  record.sums[field] = sum[1] > 0 and sum or nil
  record.changed[field] = true
end

-- Doubles the distance of the deadlines until there are few enough.
local function widen(record)
  local count = 0
  for _ in pairs(record.sums) do count = count + 1 end
  while count > MOST_DEADLINES do
    local narrow = record.sums
    record.width, record.sums, count = record.width * 2, {}, 0
    for field, sum in pairs(narrow) do
      record.changed[field] = true
      add(record, field == 'never' and field or field_of(record, tonumber(field)), sum[1], sum[2])
    end
    for _ in pairs(record.sums) do count = count + 1 end
  end
end

-- What was counted under another stamp is dead: the record of the cache begins anew, and the tenant has so much less.
local function bind(stamp)
  read_records()
  local own, all = records[1], records[2]
  if own.stamp == stamp then return end
  for field, sum in pairs(own.sums) do
    own.changed[field] = true
    if all then add(all, field_of(all, field == 'never' and -1 or tonumber(field)), -sum[1], -sum[2]) end
  end
  own.sums, own.stamp = {}, stamp
end

-- Nil unless the entry is one that is counted; else its bytes and its deadline.
local function counted(key)
  read_records()
  local head = bytes_of('GETRANGE', key, 0, 40)
  if not head or string.sub(head, 1, 4) ~= '\245vdt' or string.sub(head, 25, 40) ~= records[1].stamp then return nil end
  local at = redis.pcall('PEXPIRETIME', key)
  if type(at) ~= 'number' then
    -- Redis before 7.0.
    local left = redis.call('PTTL', key)
    at = left < 0 and left or clock_ms + left
  end
  return {#key + redis.call('STRLEN', key), at}
end

-- To be asked before anything is changed: whether an entry of that many bytes under that stamp would be too much. What is
-- not larger than the entry whose place it takes never is. Answers what is to be answered then, else nil.
local function beyond(key, stamp, bytes)
  bind(stamp)
  local before = counted(key)
  local more = {before and 0 or 1, #key + bytes - (before and before[1] or 0)}
  for place, record in ipairs(records) do
    local used = {0, 0}
    for _, sum in pairs(record.sums) do used = {used[1] + sum[1], used[2] + sum[2]} end
    for bound = 1, 2 do
      local most = record.most[bound]
      if most and more[bound] > 0 and used[bound] + more[bound] > most then
        return {-3, place, bound, used[bound]}
      end
    end
  end
  return nil
end

-- Notes what has become of an entry; `before` is what `counted` said of it.
local function recount(key, before)
  local after = counted(key)
  for _, record in ipairs(records) do
    if before then add(record, field_of(record, before[2]), -1, -before[1]) end
    if after then add(record, field_of(record, after[2]), 1, after[1]) end
  end
end

-- Stores what was noted.
local function keep_usage()
  for _, record in ipairs(records) do
    widen(record)
    if not next(record.sums) then
      redis.call('UNLINK', record.key)
    else
      local set, gone, last = {'width', record.width}, {}, 0
      if record.stamp ~= '' then set = {'width', record.width, 'stamp', record.stamp} end
      for field in pairs(record.changed) do
        local sum = record.sums[field]
        if sum then
          set[#set + 1], set[#set + 2] = field, string.format('%.0f %.0f', sum[1], sum[2])
        else
          gone[#gone + 1] = field
        end
      end
      if #gone > 0 then redis.call('HDEL', record.key, unpack(gone)) end
      redis.call('HSET', record.key, unpack(set))
      for field in pairs(record.sums) do last = math.max(last, tonumber(field) or math.huge) end
      if last < math.huge then
        redis.call('PEXPIREAT', record.key, string.format('%.0f', last))
      else
        redis.call('PERSIST', record.key)
      end
    end
  end
end
