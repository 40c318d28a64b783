-- How the stamp of a cache is read: so that the session is told when it changes.
local READ = 'GET'
