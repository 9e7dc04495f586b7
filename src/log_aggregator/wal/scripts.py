"""The Lua that Redis runs, one atomic step of the protocol each (docs/architecture.md, commit protocol).

Redis refuses a script's *first* write when its memory is full, if that command could need memory. The steps that
free memory or move a log to a living owner therefore begin with a write that needs none (XTRIM, DEL, PERSIST); APPEND
begins with XADD on purpose, and so is refused.
"""

OPEN = """
-- KEYS: epochs, lease.  ARGV: wal, lease value, lease ms
redis.call('HSET', KEYS[1], ARGV[1], 1)
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return 1
"""

CLAIM = """
-- KEYS: epochs, lease.  ARGV: wal, holder, lease ms.  The new epoch, or 0 where the log is held or gone.
if redis.call('EXISTS', KEYS[2]) == 1 or redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('DEL', KEYS[2])
local epoch = redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
redis.call('SET', KEYS[2], epoch .. ':' .. ARGV[2], 'PX', ARGV[3])
return epoch
"""

RENEW = """
-- KEYS: lease, head.  ARGV: lease value, lease ms.  The position of the newest record ever appended, or false.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return redis.error_reply('FENCED') end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('GET', KEYS[2])
"""

APPEND = """
-- KEYS: lease, log, head.  ARGV: lease value, the head that the holder knows ('' for none), record...
-- The position of each record.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return redis.error_reply('FENCED') end
if (redis.call('GET', KEYS[3]) or '') ~= ARGV[2] then return redis.error_reply('UNKNOWN_HEAD') end
local positions = {}
for i = 3, #ARGV do positions[i - 2] = redis.call('XADD', KEYS[2], '*', 'r', ARGV[i]) end
redis.call('SET', KEYS[3], positions[#positions])
return positions
"""

COMMIT = """
-- KEYS: lease, log, trimmed, (index list, period list)...
-- ARGV: lease value, wal, first and last position covered, first position kept, (index key, period)...
-- A record before the first one was trimmed once, and has come back with an older state of Redis.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return redis.error_reply('FENCED') end
if #redis.call('XRANGE', KEYS[2], '-', '(' .. ARGV[3], 'COUNT', 1) > 0 then
  return redis.error_reply('RECORDS_LOST')
end
redis.call('XTRIM', KEYS[2], 'MINID', ARGV[5])
redis.call('HSET', KEYS[3], ARGV[2], ARGV[4])
for i = 4, #KEYS, 2 do
  redis.call('SADD', KEYS[i], ARGV[i + 2])
  redis.call('SADD', KEYS[i + 1], ARGV[i + 3])
end
return 1
"""

RELEASE = """
-- KEYS: epochs, lease, log, trimmed, head.  ARGV: wal, lease value, head ms.  1 if the log was empty and is gone.
-- The head stays for a while: a former holder that wakes up learns from it which of its records arrived.
if redis.call('GET', KEYS[2]) ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[2])
if redis.call('XLEN', KEYS[3]) > 0 then return 0 end
redis.call('DEL', KEYS[3])
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[4], ARGV[1])
redis.call('PEXPIRE', KEYS[5], ARGV[3])
return 1
"""

REQUEST_FLUSH = """
-- KEYS: flush requests
redis.call('PERSIST', KEYS[1])
return redis.call('INCR', KEYS[1])
"""

FILL = """
-- KEYS: set.  ARGV: mark of the reader, mark of completeness, ms, member...
-- Without the reader's mark the set was removed after the reader began to list: what was added meanwhile is lost.
if redis.call('SREM', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('SADD', KEYS[1], ARGV[2])
for i = 4, #ARGV do redis.call('SADD', KEYS[1], ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
"""
