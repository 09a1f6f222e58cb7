-- Budgets: what is spent per bucket of time, what is held, and what was held by owners given up.
--
-- Each account has three keys:
--   sums  hash         "reserved", and one field per bucket: what is spent in it
--   held  sorted set   "<reservation>:<amount>" by when it expires
--   late  sorted set   the same after that, by when it is forgotten
--
-- ARGV: command, now ("" for the server's time), LATE, reservation, time to live, and for each
-- account: amount, bound (the limit, or to settle what was spent), width of a bucket in seconds (0:
-- one bucket for ever), and how many buckets before the current one count.
--
-- Each command may be sent twice, because a connection may break before the answer.

local now = tonumber(ARGV[2])
if not now then
  local time = redis.call('TIME')
  now = time[1] + time[2] / 1e6
end
local LATE, reservation, ttl = tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])

-- Lua would write large numbers with an exponent, cut times to milliseconds, and minus zero as -0.
local function whole(number) return string.format('%.0f', number) end
local function exact(number) return string.format('%.17g', number) end

local accounts = {}
for i = 1, #KEYS / 3 do
  local width = tonumber(ARGV[4 * i + 4])
  local slices = tonumber(ARGV[4 * i + 5])
  accounts[i] = {
    sums = KEYS[3 * i - 2],
    held = KEYS[3 * i - 1],
    late = KEYS[3 * i],
    amount = tonumber(ARGV[4 * i + 2]),
    bound = tonumber(ARGV[4 * i + 3]),
    width = width,
    slices = slices,
    bucket = width > 0 and math.floor(now / width) or 0,
  }
end

-- Stop counting holds that expired, and forget those whose owners are not just late.
local function expire(account)
  local ended = redis.call('ZRANGEBYSCORE', account.held, '-inf', exact(now), 'WITHSCORES')
  for i = 1, #ended, 2 do
    local amount = tonumber(string.match(ended[i], ':(%d+)$'))
    redis.call('HINCRBY', account.sums, 'reserved', whole(0 - amount))
    redis.call('ZADD', account.late, exact(ended[i + 1] + LATE), ended[i])
    redis.call('ZREM', account.held, ended[i])
  end
  redis.call('ZREMRANGEBYSCORE', account.late, '-inf', exact(now))
end

local function balance(account)
  expire(account)
  local spent, reserved, oldest = 0, 0, nil
  local sums = redis.call('HGETALL', account.sums)
  for i = 1, #sums, 2 do
    local amount = tonumber(sums[i + 1])
    if sums[i] == 'reserved' then
      reserved = amount
    else
      local bucket = tonumber(sums[i])
      if bucket < account.bucket - account.slices then
        redis.call('HDEL', account.sums, sums[i])
      else
        spent = spent + amount
        if not oldest or bucket < oldest then oldest = bucket end
      end
    end
  end
  local resets_at = ''
  if account.width > 0 then
    if account.slices == 0 then oldest = account.bucket end
    if oldest then resets_at = exact((oldest + account.slices + 1) * account.width) end
  end
  return spent, reserved, resets_at
end

-- Accounts without a window stay. The others go when nothing in them can count any more, all
-- three keys at once, or the sum of holds would outlive the holds.
local function keep(account, longest_hold)
  if account.width == 0 then return end
  local seconds = account.width * (account.slices + 1) + longest_hold + LATE
  local milliseconds = math.ceil(seconds * 1000)
  local left = redis.call('PTTL', account.sums)
  if left > milliseconds then milliseconds = left end
  for _, key in ipairs({account.sums, account.held, account.late}) do
    redis.call('PEXPIRE', key, whole(milliseconds))
  end
end

local function member(account)
  return reservation .. ':' .. whole(account.amount)
end

local commands = {}

function commands.reserve()
  local expires_at = redis.call('ZSCORE', accounts[1].held, member(accounts[1]))
  if expires_at then
    return {1, expires_at}
  end
  expires_at = exact(now + ttl)
  for i, account in ipairs(accounts) do
    local spent, reserved, resets_at = balance(account)
    if spent + reserved + account.amount > account.bound then
      return {0, i, spent, reserved, resets_at}
    end
  end
  for _, account in ipairs(accounts) do
    redis.call('HINCRBY', account.sums, 'reserved', whole(account.amount))
    redis.call('ZADD', account.held, expires_at, member(account))
    keep(account, ttl)
  end
  return {1, expires_at}
end

function commands.settle()
  local counted = 0
  for _, account in ipairs(accounts) do
    expire(account)
    local name = member(account)
    local held = redis.call('ZREM', account.held, name) == 1
    if held then
      redis.call('HINCRBY', account.sums, 'reserved', whole(0 - account.amount))
    end
    if held or redis.call('ZREM', account.late, name) == 1 then
      if account.bound > 0 then
        redis.call('HINCRBY', account.sums, whole(account.bucket), whole(account.bound))
      end
      keep(account, 0)
      counted = 1
    end
  end
  return counted
end

function commands.balance()
  return {balance(accounts[1])}
end

return commands[ARGV[1]]()
