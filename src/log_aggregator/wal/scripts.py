"""The Lua that Redis runs, one atomic step of the protocol each (docs/architecture.md, commit protocol).

Redis refuses a script's *first* write when its memory is full, if that command could need memory. The steps that
free memory or move a log to a living owner therefore begin with a write that needs none (XTRIM, DEL); APPEND begins
with XADD on purpose, and so is refused.
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
-- KEYS: lease.  ARGV: lease value, lease ms
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return redis.error_reply('FENCED') end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
"""

APPEND = """
-- KEYS: lease, log.  ARGV: lease value, record...  The position of each record.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return redis.error_reply('FENCED') end
local positions = {}
for i = 2, #ARGV do positions[i - 1] = redis.call('XADD', KEYS[2], '*', 'r', ARGV[i]) end
return positions
"""

COMMIT = """
-- KEYS: lease, log, trimmed, (index list, period list)...
-- ARGV: lease value, wal, last position covered, first position kept, (index key, period)...
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return redis.error_reply('FENCED') end
redis.call('XTRIM', KEYS[2], 'MINID', ARGV[4])
redis.call('HSET', KEYS[3], ARGV[2], ARGV[3])
for i = 4, #KEYS, 2 do
  redis.call('SADD', KEYS[i], ARGV[i + 1])
  redis.call('SADD', KEYS[i + 1], ARGV[i + 2])
end
return 1
"""

RELEASE = """
-- KEYS: epochs, lease, log, trimmed.  ARGV: wal, lease value.  1 if the log was empty and is gone.
if redis.call('GET', KEYS[2]) ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[2])
if redis.call('XLEN', KEYS[3]) > 0 then return 0 end
redis.call('DEL', KEYS[3])
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[4], ARGV[1])
return 1
"""
