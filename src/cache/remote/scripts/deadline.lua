-- A deadline belongs to a key, whether or not there is an entry: 16 bytes of mark and the milliseconds since the epoch.
-- It counts only under the current mark of its cache, which a clear replaces: the stamp of a framed cache, and of a raw
-- one what the key of its deadlines holds. Where that key is missing, nobody has set a deadline in that cache.
local function mark_of(deadlines, stamp)
  local held = bytes_of(READ, deadlines)
  return held and (stamp or string.sub(held, 1, 16))
end

local function passed(at)
  local now = redis.call('TIME')
  return tonumber(at) <= now[1] * 1000 + math.floor(now[2] / 1000)
end

-- The expiry that a write gives: a deadline that has not passed takes the place of the default and of what is kept, and
-- any other expiry takes the place of the deadline.
local function due(key, mark, kind, ms)
  local held = mark and bytes_of('GET', key)
  if not held then return kind, ms end
  local at = string.sub(held, 17)
  if (kind == 'D' or kind == 'K') and string.sub(held, 1, 16) == mark and not passed(at) then
    return 'A', at
  end
  redis.call('UNLINK', key)
  return kind, ms
end
