-- How the stamp of a cache is read: so that the session is not told when it changes, which who keeps copies learns by reads
-- of its own. A tracked read costs as much again for each key of the script, and has the script's own write told to its
-- writer. Not without room.lua.
local READ = 'GETEX'
