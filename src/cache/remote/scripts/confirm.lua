-- Reads an entry whose value the caller may still have.
-- KEYS  entry, stamp (framed caches only)     ARGV  version that the caller has
-- Answers {1, pttl, stamp, groups as in the header} if the entry has that version, else {0, bytes or nil, pttl, stamp}.
-- Whether it is alive by its groups is for the caller to judge: they may have changed although the version has not.
local held = KEYS[2] and redis.call('GET', KEYS[2])
local head = bytes_of('GETRANGE', KEYS[1], 0, 40)
local pttl = redis.call('PTTL', KEYS[1])
local same, tail = false, '\0'
if head and KEYS[2] and string.sub(head, 1, 4) == '\245vdt' then
  same = held and string.sub(head, 9, 24) == ARGV[1] and string.sub(head, 25, 40) == string.sub(held, 1, 16)
  if same then
    tail = redis.call('GETRANGE', KEYS[1], 40, string.byte(head, 7) * 256 + string.byte(head, 8) - 1)
  end
elseif head and pttl ~= -2 then
  local hidden = held and string.sub(held, 17, 17) == 's'
  same = not hidden and digest(redis.call('GET', KEYS[1])) == ARGV[1]
end
if same then
  return {1, pttl, held or false, tail}
end
-- Redis ends a list at its first nil, hence false.
return {0, head and redis.call('GET', KEYS[1]) or false, pttl, held or false}
