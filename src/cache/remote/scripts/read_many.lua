-- Reads entries of a cache and their expiries, at one moment, as far as the budget goes.
-- KEYS  entries..., stamp (framed caches only)     ARGV  'F' or 'R', bytes that the answer may hold
-- Answers {values, expiries as PTTL tells them or -3 for what does not fit, stamp}. Of an entry that is not alive only
-- the head is answered, which is enough to tell. Groups are for the caller to judge.
local left = tonumber(ARGV[2])
local framed = ARGV[1] == 'F'
local count = framed and #KEYS - 1 or #KEYS
local held = framed and redis.call('GET', KEYS[#KEYS]) or ''
local values, expiries = {}, {}
for place = 1, count do
  local key = KEYS[place]
  local head = bytes_of('GETRANGE', key, 0, 40)
  values[place], expiries[place] = false, -2
  if head and redis.call('EXISTS', key) == 1 then
    local ours = framed and string.sub(head, 1, 4) == '\245vdt'
    local dead = ours and string.sub(head, 25, 40) ~= string.sub(held, 1, 16)
    local hidden = framed and not ours and string.sub(held, 17, 17) == 's'
    local size = redis.call('STRLEN', key) - (ours and #head > 8 and string.byte(head, 7) * 256 + string.byte(head, 8) or 0)
    if dead or hidden then
      values[place], expiries[place] = head, redis.call('PTTL', key)
    elseif size > left then
      expiries[place] = -3
    else
      left = left - size
      values[place], expiries[place] = redis.call('GET', key), redis.call('PTTL', key)
    end
  end
end
return {values, expiries, framed and redis.call('GET', KEYS[#KEYS])}
