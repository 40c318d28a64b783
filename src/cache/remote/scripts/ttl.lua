-- Reads how long an entry lives, and where there is none, its deadline; all at one moment.
-- KEYS  entry, deadline, deadlines of the cache, stamp (framed caches only)
-- Answers {pttl of the live entry}, else {-2, deadline or nil, 1 if that has passed}.
local head = bytes_of('GETRANGE', KEYS[1], 0, 40)
local held = KEYS[4] and redis.call('GET', KEYS[4])
local live = head and redis.call('EXISTS', KEYS[1]) == 1
if live and KEYS[4] then
  if string.sub(head, 1, 4) == '\245vdt' then
    live = held and #head == 41 and string.byte(head, 5) == 1 and string.sub(head, 25, 40) == string.sub(held, 1, 16)
  else
    live = not held or string.sub(held, 17, 17) ~= 's'
  end
end
if live then return {redis.call('PTTL', KEYS[1])} end
-- With its stamp a cache has lost its deadlines.
if KEYS[4] and not held then return {-2} end
local mark = mark_of(KEYS[3], held and string.sub(held, 1, 16))
local deadline = mark and bytes_of('GET', KEYS[2])
if not deadline or string.sub(deadline, 1, 16) ~= mark then return {-2} end
local at = string.sub(deadline, 17)
return {-2, tonumber(at), passed(at) and 1 or 0}
