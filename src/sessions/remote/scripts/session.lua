-- Included before every script about sessions.
-- KEYS[1] is a session: a hash with fields of its own (principal, created, accessed, max_inactive, bytes) and a field
-- 'a:<name>' for each attribute. It ends max_inactive ms after it was accessed.
-- The index of a principal is a sorted set of ids, each with the ms since 1970 at which its session ends.
local OWN_FIELDS = 5

local function whole(number)
  return string.format('%.0f', number)
end

local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- What to answer instead: there is no such session, or its principal, hence its index, is not the expected one.
local function refusal(expected)
  local principal = redis.call('HGET', KEYS[1], 'principal')
  if not principal then return {0} end
  if principal ~= expected then return {2, principal} end
  return nil
end

-- Enters a session into an index, drops some of those that have ended, and lets the index live as long as the last.
local function enlist(index, id, now, ends)
  redis.call('ZADD', index, whole(ends), id)
  local ended = redis.call('ZRANGEBYSCORE', index, '-inf', '(' .. whole(now), 'LIMIT', 0, 16)
  if #ended > 0 then redis.call('ZREM', index, unpack(ended)) end
  if redis.call('PTTL', index) < ends - now then
    redis.call('PEXPIREAT', index, whole(ends))
  end
end
