-- Removes, of entries whose last write this node does not have, what was there before that write.
-- KEYS  entries, records of usage, which all of them are counted in...
-- ARGV  for each of them a kind and a version: 'F' a framed value, 'f' its removal, 'R' and 'r' the same of raw ones; no
--       declared groups
-- Answers a letter for each: 'k' it is there, or something newer; 'o' something older was, and is gone; 'n' something
-- was that may be newer, and is gone; '-' nothing is.
-- What has survived of the old reign is older than what was lost of it, whatever the clocks of its writers said. So a
-- framed entry is newer only if it is of a later epoch. Raw entries have none, and go if they are not what was
-- written, or too long to be worth a digest.
local LONGEST = 65536
local function epoch(version)
  local high, low = string.byte(version, 1, 2)
  return high * 256 + low
end
local function later(a, b)
  for at = 1, #a do
    local x, y = string.byte(a, at), string.byte(b, at)
    if x ~= y then return x > y end
  end
  return false
end
local states = {}
for place = 1, #KEYS - #records do
  local key, kind, version = KEYS[place], ARGV[2 * place - 1], ARGV[2 * place]
  local head = bytes_of('GETRANGE', key, 0, 40)
  local state = 'o'
  if not head or (head == '' and redis.call('EXISTS', key) == 0) then
    state = '-'
  elseif kind == 'F' or kind == 'f' then
    if #head >= 41 and string.sub(head, 1, 4) == '\245vdt' then
      local held = string.sub(head, 9, 24)
      if held == version or epoch(held) > epoch(version) then
        state = 'k'
      elseif later(held, version) then
        state = 'n'
      end
    end
  elseif kind == 'R' and redis.call('STRLEN', key) <= LONGEST then
    if digest(redis.call('GET', key)) == version then state = 'k' end
  end
  if state == 'o' or state == 'n' then
    local before = counted(key)
    redis.call('UNLINK', key)
    recount(key, before)
    keep_usage()
  end
  states[place] = state
end
return table.concat(states)
