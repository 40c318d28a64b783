-- Removes an entry of a raw cache; answers whether there was one.
-- KEYS  entry, record of a running load
note_for_load(KEYS[2], KEYS[1])
return redis.call('UNLINK', KEYS[1])
