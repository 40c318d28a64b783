-- The version of a raw or foreign entry: the SHA-1 of its bytes, in binary.
local function digest(bytes)
  return (string.gsub(redis.sha1hex(bytes), '..', function(pair)
    return string.char(tonumber(pair, 16))
  end))
end
