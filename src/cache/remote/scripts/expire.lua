-- Stores with an expiry: 'I' ms from now, 'A' at ms since the epoch, 'K' as it is or else ms from now (empty:
-- never), 'D' ms from now (empty: never), 'N' never. `exists` tells whether there is a live entry whose expiry can be kept.
local function store(key, bytes, kind, ms, exists)
  if kind == 'K' and exists then
    redis.call('SET', key, bytes, 'KEEPTTL')
  elseif kind == 'A' then
    local now = redis.call('TIME')
    if tonumber(ms) <= now[1] * 1000 + math.floor(now[2] / 1000) then
      redis.call('UNLINK', key)
    else
      redis.call('SET', key, bytes, 'PXAT', ms)
    end
  elseif ms ~= '' then
    redis.call('SET', key, bytes, 'PX', ms)
  else
    redis.call('SET', key, bytes)
  end
end
