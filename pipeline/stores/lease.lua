-- Leases: a token in a key that expires, and the value that the work is for.
--
-- KEYS[1]  the lease          ARGV[1]  what to do
-- KEYS[2]  the value          ARGV[2]  the token
--                             ARGV[3]  the lease's time to live in milliseconds
--
-- Each may be sent twice, because a connection may break before the answer.

local commands = {}

local function owned()
  return redis.call('GET', KEYS[1]) == ARGV[2]
end

function commands.lease()
  if redis.call('SET', KEYS[1], ARGV[2], 'NX', 'PX', ARGV[3]) or owned() then
    return 1
  end
  return 0
end

function commands.get_or_lease()
  return redis.call('GET', KEYS[2]) or commands.lease()
end

function commands.renew()
  return owned() and redis.call('PEXPIRE', KEYS[1], ARGV[3]) or 0
end

function commands.release()
  return owned() and redis.call('DEL', KEYS[1]) or 0
end

return commands[ARGV[1]]()
