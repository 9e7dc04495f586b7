"""Marks in Redis that tell replicas when what they keep of a tenant's delete requests is no longer true.

A mark is a random text. Whoever changes the requests in the store renews the mark afterwards; whoever reads requests
asks for the mark first, and may go on using what it has read as long as the mark is the same.
"""

import secrets

from redis.asyncio import Redis

from log_aggregator.wal.connection import repeated, text, translated
from log_aggregator.wal.errors import WalFull
from log_aggregator.wal.names import Names

_NOW_MS = "local time = redis.call('TIME') return time[1] * 1000 + math.floor(time[2] / 1000)"


class Marks:
    """Methods raise WalUnavailable."""

    def __init__(self, redis: Redis, names: Names) -> None:
        self._redis = redis
        self._key = names.deletions

    async def get(self, tenant: str) -> str:
        """The tenant's mark, a new one if Redis has lost it; one that nobody else has if Redis is full."""
        new = secrets.token_hex(8)

        async def read() -> bytes | str:
            found = await self._redis.hget(self._key, tenant)
            if found is None:
                await self._redis.hsetnx(self._key, tenant, new)
                found = await self._redis.hget(self._key, tenant)
            return found or b""

        try:
            return text(await repeated("read the mark of deletions", read))
        except WalFull:
            return new

    async def now_ms(self) -> int:
        """The time that positions in logs tell."""
        return await repeated("read the time", lambda: self._redis.eval(_NOW_MS, 1, self._key))

    async def renew(self, tenant: str) -> None:
        """Raises WalFull too."""
        with translated("renew the mark of deletions"):
            await self._redis.hset(self._key, tenant, secrets.token_hex(8))
