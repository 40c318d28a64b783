-- Adds to a counter in one atomic step, once per operation.
-- KEYS  entry, operation, floor, deadline, deadlines of the cache, notes for a load, and in framed caches: stamp, what
--       waits for the entry, lease, records of usage..., stamps of groups...
-- ARGV  delta, floor or '', expiry kind and ms if it is created, ms for which the operation is remembered or '',
--       random, header before the stamp, history, declared groups
-- Answers {1, new value}, or {0, 'N'} if the entry is not a number or would leave 64 bits, or {0, 'F'} if its floor has to
-- be told first: it had one once, and since then the counter has gone or the history has changed, which may have lost
-- increments; what is beyond a quota; or asks.
-- Numbers of Lua have 53 bits, so Redis adds: in the key of the operation, which thereby holds the answer.
local delta, floor, kind, ms, kept = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local framed = KEYS[7]
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
local stamp, exists, text, tail = nil, false, nil, nil
if framed then
  local clean, version
  stamp, clean = stamp_of(KEYS[7], ARGV[6])
  version, tail = live_version(KEYS[1], stamp, clean)
  if #undeclared > 0 then return ask() end
  if version then
    exists = true
    text = redis.call('GET', KEYS[1])
    -- Null is no number; its payload is empty.
    if tail then text = string.sub(text, 41 + #tail) end
  end
else
  local held = bytes_of('GET', KEYS[1])
  exists = held ~= nil or redis.call('EXISTS', KEYS[1]) == 1
  text = held or (exists and '' or nil)
end
local known = floor == '' and bytes_of('GET', KEYS[3])
if known and (not exists or known ~= ARGV[8]) then return {0, 'F'} end
local base = text or '0'
if floor ~= '' and (not exists or (string.match(base, '^%-?%d+$') and less(base, floor))) then
  base = floor
end
redis.call('SET', KEYS[2], base, 'PX', kept ~= '' and kept or 1000)
local sum = redis.pcall('INCRBY', KEYS[2], delta)
if type(sum) == 'table' and sum.err then
  redis.call('UNLINK', KEYS[2])
  return {0, 'N'}
end
local value = redis.call('GET', KEYS[2])
local header, groups, before = '', {}, nil
if framed then
  if not exists then groups = waiting(KEYS[8]) end
  header = frame(ARGV[7], stamp, tail or write_groups(groups))
  local refused
  refused, before = beyond(KEYS[1], stamp, #header + #value)
  if refused then
    redis.call('UNLINK', KEYS[2])
    return refused
  end
end
if kept == '' then redis.call('UNLINK', KEYS[2]) end
if floor ~= '' then redis.call('SET', KEYS[3], ARGV[8]) end
if exists then kind, ms = 'K', '' end
kind, ms = due(KEYS[4], mark_of(KEYS[5], stamp), kind, ms)
store(KEYS[1], header .. value, kind, ms, exists)
note_for_load(KEYS[6], KEYS[1])
if #groups > 0 then redis.call('UNLINK', KEYS[8]) end
if framed then
  recount(KEYS[1], before, #header + #value)
  keep_usage()
  redis.call('UNLINK', KEYS[9])
end
return {1, value}
