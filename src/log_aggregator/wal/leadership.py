"""Who compacts: one replica at a time, by a lease in Redis.

The lease spares two replicas the same work. What keeps a holder that was paused past its lease from doing harm is the
store: a compaction publishes its result under a name that must not exist yet (services/compactor.py).
"""

import secrets
from typing import Final

from redis.asyncio import Redis

from log_aggregator.wal.connection import translated
from log_aggregator.wal.names import Names

_NAME: Final = "compactor"

_RENEW: Final = """
-- KEYS: lease.  ARGV: lease value, lease ms
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return redis.error_reply('FENCED') end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""

_RELEASE: Final = """
-- KEYS: lease.  ARGV: lease value
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


class Leadership:
    """Methods raise WalUnavailable."""

    def __init__(self, redis: Redis, names: Names, holder: str, *, lease_seconds: float) -> None:
        self._redis = redis
        self._key = names.lease(_NAME)
        # Two processes may have one holder's name, and one process may lead twice.
        self._value = f"{secrets.token_hex(8)}:{holder}"
        self._lease_ms = int(lease_seconds * 1000)
        self.lease_seconds = lease_seconds
        self._renew = redis.register_script(_RENEW)
        self._release = redis.register_script(_RELEASE)

    async def acquire(self) -> bool:
        """Whether we lead now. Raises WalFull too."""
        with translated("acquire the compactor's lease"):
            return bool(await self._redis.set(self._key, self._value, nx=True, px=self._lease_ms))

    async def renew(self) -> None:
        """Raises Fenced when we do not lead any more."""
        with translated("renew the compactor's lease"):
            await self._renew(keys=[self._key], args=[self._value, self._lease_ms])

    async def release(self) -> None:
        """Lets another replica lead at once."""
        with translated("release the compactor's lease"):
            await self._release(keys=[self._key], args=[self._value])
