-- The answer of a reading command, or nil where the key holds something other than bytes. Any other error is the
-- caller's to see: were it taken for absence, a write on condition of absence would overwrite.
local function bytes_of(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then
    if string.find(answer.err, 'WRONGTYPE', 1, true) then return nil end
    error(answer)
  end
  return answer or nil
end
