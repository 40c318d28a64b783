-- Loads. The record of a running load is a hash: what it began with, and 'k' and the SHA-1 of its key for each entry
-- that others wrote or removed since, which it passes over. Such entries are noted in a list (note.lua), which begins
-- with the id of the load, and are taken over into the record by the next step of the load.
-- There is room for so many; with one more the load is over, which its loader finds out.
local NOTES = 100000
local AT_ONCE = 1000

local function end_of_load(record, notes)
  redis.call('UNLINK', record, notes)
  return false
end

-- Whether the load of that id is running; then its record knows everything that others did.
local function is_running(record, notes, id)
  if redis.call('HGET', record, 'id') ~= id then return false end
  local left = redis.call('LLEN', notes) - 1
  -- Redis may have evicted the list.
  if left < 0 then return end_of_load(record, notes) end
  if left == 0 then return true end
  if redis.call('HLEN', record) + left > NOTES then return end_of_load(record, notes) end
  while left > 0 do
    local names = redis.call('RPOP', notes, math.min(left, AT_ONCE))
    left = left - #names
    local fields = {}
    for place, name in ipairs(names) do
      fields[2 * place - 1], fields[2 * place] = 'k' .. redis.sha1hex(name), ''
    end
    redis.call('HSET', record, unpack(fields))
  end
  return true
end

local function is_edited(record, entry)
  return redis.call('HEXISTS', record, 'k' .. redis.sha1hex(entry)) == 1
end
