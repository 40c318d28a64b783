-- Included before every script that writes or removes entries, and to be called by it for each, after its first write:
-- a full Redis refuses this one only before. While a load of the cache is running, there is a list of what others do to
-- its entries meanwhile (see loading.lua); where there is none, nothing is appended.
local function note_for_load(notes, entry)
  redis.call('RPUSHX', notes, entry)
end
