-- Included before every script that writes or removes entries, and to be called by it for each: while a load of the
-- cache is running, what others do to an entry wins over it (see load_framed.lua). The record of a load has room for so
-- many such entries; with one more the load is over, which its loader finds out.
local NOTES = 100000
local function note_for_load(load, entry)
  if redis.call('EXISTS', load) == 0 then return end
  if redis.call('HLEN', load) >= NOTES then
    redis.call('UNLINK', load)
  else
    redis.call('HSET', load, 'k' .. redis.sha1hex(entry), '')
  end
end
