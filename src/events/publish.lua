-- Appends a message to the log of a channel in one atomic step, once per operation.
-- KEYS  log, operation
-- ARGV  payload, mark of this message, most messages, ms until an idle log goes, ms for which the operation is
--       remembered or ''
-- Answers the id of the stream, a space and the mark; of an operation that was done before, those of then.
local log, operation = KEYS[1], KEYS[2]
local payload, mark, most, idle, kept = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
if kept ~= '' then
  local done = redis.call('GET', operation)
  if done then return done end
end
-- Every message names its predecessor, so that a reader knows when it has not seen that.
local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
local before = ''
if last and last[2][1] == 'm' then before = last[2][2] end
local id = redis.call('XADD', log, 'MAXLEN', most, '*', 'm', mark, 'b', before, 'p', payload)
redis.call('PEXPIRE', log, idle)
local answer = id .. ' ' .. mark
if kept ~= '' then redis.call('SET', operation, answer, 'PX', kept) end
return answer
