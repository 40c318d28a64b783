-- Reads entries of a cache and their expiries, at one moment, as far as the budget goes.
-- KEYS  entries..., stamp (framed caches only)     ARGV  'F' or 'R', bytes that the answer may hold
-- Answers {values, expiries as PTTL tells them or -3 for what does not fit, stamp}.
local left = tonumber(ARGV[2])
local count = ARGV[1] == 'F' and #KEYS - 1 or #KEYS
local values, expiries = {}, {}
for place = 1, count do
  local size = bytes_of('STRLEN', KEYS[place])
  values[place], expiries[place] = false, -2
  if size and size > left then
    expiries[place] = -3
  elseif size then
    left = left - size
    values[place] = redis.call('GET', KEYS[place])
    expiries[place] = redis.call('PTTL', KEYS[place])
  end
end
return {values, expiries, count < #KEYS and redis.call('GET', KEYS[#KEYS])}
