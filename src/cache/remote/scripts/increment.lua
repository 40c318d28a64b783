-- Adds to a counter in one atomic step, once per operation.
-- KEYS  entry, operation, record of a running load, stamp (framed caches only)
-- ARGV  delta, floor or '', expiry kind and ms if it is created, ms for which the operation is remembered or '',
--       random, header before the stamp, header after it
-- Answers {1, new value}, or {0} if the entry is not a number or would leave 64 bits.
-- Numbers of Lua have 53 bits, so Redis adds: in the key of the operation, which thereby holds the answer.
local delta, floor, kind, ms, kept = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local framed = KEYS[4]
if kept ~= '' then
  local done = bytes_of('GET', KEYS[2])
  if done then return {1, done} end
end
local function less(a, b)
  local minus_a, minus_b = string.sub(a, 1, 1) == '-', string.sub(b, 1, 1) == '-'
  if minus_a ~= minus_b then return minus_a end
  local shorter = #a < #b
  if #a == #b then
    shorter = false
    for at = 1, #a do
      local x, y = string.byte(a, at), string.byte(b, at)
      if x ~= y then
        shorter = x < y
        break
      end
    end
    if a == b then return false end
  end
  return shorter ~= minus_a
end
local stamp, exists, text = nil, false, nil
if framed then
  local clean
  stamp, clean = stamp_of(KEYS[4], ARGV[6])
  if live_version(KEYS[1], stamp, clean) then
    exists = true
    text = redis.call('GET', KEYS[1])
    if string.sub(text, 1, 4) == MAGIC then
      -- Null is no number; its payload is empty.
      text = string.sub(text, string.byte(text, 7) * 256 + string.byte(text, 8) + 1)
    end
  end
else
  local held = bytes_of('GET', KEYS[1])
  exists = held ~= nil or redis.call('EXISTS', KEYS[1]) == 1
  text = held or (exists and '' or nil)
end
local base = text or '0'
if floor ~= '' and (not exists or (string.match(base, '^%-?%d+$') and less(base, floor))) then
  base = floor
end
redis.call('SET', KEYS[2], base, 'PX', kept ~= '' and kept or 1000)
local sum = redis.pcall('INCRBY', KEYS[2], delta)
if type(sum) == 'table' and sum.err then
  redis.call('UNLINK', KEYS[2])
  return {0}
end
local value = redis.call('GET', KEYS[2])
if kept == '' then redis.call('UNLINK', KEYS[2]) end
if exists then kind, ms = 'K', '' end
note_for_load(KEYS[3], KEYS[1])
store(KEYS[1], framed and ARGV[7] .. stamp .. ARGV[8] .. value or value, kind, ms, exists)
return {1, value}
