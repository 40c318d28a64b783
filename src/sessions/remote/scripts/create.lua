-- Makes a session, once per operation. A call whose answer was lost is sent again with the same id, which nobody else
-- can know yet, so doing it twice is the same as doing it once.
-- KEYS  session, index of the principal (if it has one), operation (if it is remembered)
-- ARGV  id, principal, max_inactive, ms for which the operation is remembered or '', name and value of each attribute
-- Answers {1, id, created}.
local id, principal, max_inactive, kept = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if kept ~= '' then
  local done = redis.call('GET', KEYS[#KEYS])
  if done then
    local made, at = string.match(done, '^(%S+) (%d+)$')
    return {1, made, tonumber(at)}
  end
end
local bytes = 0
for at = 5, #ARGV do bytes = bytes + #ARGV[at] end
local now = now_ms()
local ends = now + tonumber(max_inactive)
redis.call('HSET', KEYS[1], 'principal', principal, 'created', whole(now), 'accessed', whole(now),
  'max_inactive', max_inactive, 'bytes', whole(bytes))
for at = 5, #ARGV, 2 do redis.call('HSET', KEYS[1], 'a:' .. ARGV[at], ARGV[at + 1]) end
redis.call('PEXPIREAT', KEYS[1], whole(ends))
if principal ~= '' then enlist(KEYS[2], id, now, ends) end
if kept ~= '' then redis.call('SET', KEYS[#KEYS], id .. ' ' .. whole(now), 'PX', kept) end
return {1, id, now}
