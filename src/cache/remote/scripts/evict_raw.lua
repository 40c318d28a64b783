-- Removes an entry of a raw cache; answers whether there was one.
-- KEYS  entry, notes for a load
local removed = redis.call('UNLINK', KEYS[1])
note_for_load(KEYS[2], KEYS[1])
return removed
