-- Changes a session and extends its life.
-- KEYS  session, index of the expected principal (if it has one), index of the new one (if it is another)
-- ARGV  id, expected principal, new principal, new max_inactive or '', most attributes, most bytes, number of
--       attributes to set, name and value of each, name of each attribute to remove
-- Answers {1}, or what `refusal` says, or {3, attributes, bytes} if it would become that large: nothing was done.
local id, expected, principal, max_inactive = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local refused = refusal(expected)
if refused then return refused end
local sets = 8
local removes = sets + 2 * tonumber(ARGV[7])
local count_before = redis.call('HLEN', KEYS[1]) - OWN_FIELDS
local bytes_before = tonumber(redis.call('HGET', KEYS[1], 'bytes'))
local count, bytes = count_before, bytes_before
for at = sets, removes - 1, 2 do
  local field, value = 'a:' .. ARGV[at], ARGV[at + 1]
  if redis.call('HEXISTS', KEYS[1], field) == 1 then
    bytes = bytes + #value - redis.call('HSTRLEN', KEYS[1], field)
  else
    count, bytes = count + 1, bytes + #ARGV[at] + #value
  end
end
for at = removes, #ARGV do
  local field = 'a:' .. ARGV[at]
  if redis.call('HEXISTS', KEYS[1], field) == 1 then
    count, bytes = count - 1, bytes - #ARGV[at] - redis.call('HSTRLEN', KEYS[1], field)
  end
end
if (count > tonumber(ARGV[5]) and count > count_before) or (bytes > tonumber(ARGV[6]) and bytes > bytes_before) then
  return {3, count, bytes}
end
if max_inactive == '' then max_inactive = redis.call('HGET', KEYS[1], 'max_inactive') end
local now = now_ms()
local ends = now + tonumber(max_inactive)
redis.call('HSET', KEYS[1], 'principal', principal, 'accessed', whole(now), 'max_inactive', max_inactive,
  'bytes', whole(bytes))
for at = sets, removes - 1, 2 do redis.call('HSET', KEYS[1], 'a:' .. ARGV[at], ARGV[at + 1]) end
for at = removes, #ARGV do redis.call('HDEL', KEYS[1], 'a:' .. ARGV[at]) end
redis.call('PEXPIREAT', KEYS[1], whole(ends))
if expected ~= '' and expected ~= principal then redis.call('ZREM', KEYS[2], id) end
if principal ~= '' then enlist(KEYS[#KEYS], id, now, ends) end
return {1}
