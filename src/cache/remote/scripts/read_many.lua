-- Reads entries of a cache and their expiries, at one moment, as far as the budget goes.
-- KEYS  entries..., stamp (framed caches only)     ARGV  'F' or 'R', bytes that the answer may hold
-- Answers {values, expiries as PTTL tells them or -3 for what does not fit, stamp}. Of an entry that is not alive only
-- the head is answered, which is enough to tell. Groups are for the caller to judge.
-- Few reading commands for an entry: at each of them Redis notes all keys of the script for a session that it tracks. A
-- large value is read only if it is answered.
local left = tonumber(ARGV[2])
local framed = ARGV[1] == 'F'
local count = framed and #KEYS - 1 or #KEYS
local held = framed and bytes_of('GET', KEYS[#KEYS]) or ''
local values, expiries = {}, {}
for place = 1, count do
  local key = KEYS[place]
  values[place], expiries[place] = false, -2
  local bytes = bytes_of('STRLEN', key)
  if bytes and bytes > 0 then
    local value = bytes <= math.min(left, 4096) and redis.call('GET', key)
    local head = string.sub(value or redis.call('GETRANGE', key, 0, 40), 1, 41)
    local ours = framed and string.sub(head, 1, 4) == '\245vdt'
    local dead = ours and string.sub(head, 25, 40) ~= string.sub(held, 1, 16)
    local hidden = framed and not ours and string.sub(held, 17, 17) == 's'
    if dead or hidden then
      values[place], expiries[place] = head, redis.call('PTTL', key)
    else
      local size = bytes - (ours and #head > 8 and string.byte(head, 7) * 256 + string.byte(head, 8) or 0)
      if size > left then
        expiries[place] = -3
      else
        left = left - size
        values[place], expiries[place] = value or redis.call('GET', key), redis.call('PTTL', key)
      end
    end
  elseif bytes and redis.call('EXISTS', key) == 1 then
    values[place], expiries[place] = '', redis.call('PTTL', key)
  end
end
return {values, expiries, framed and held ~= '' and held}
