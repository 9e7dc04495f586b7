"""Redis' copy of the list of index objects. It is either complete or known not to be; losing it costs a listing."""

from collections.abc import Iterable, Sequence

from redis.asyncio import Redis

from log_aggregator.wal.connection import translated
from log_aggregator.wal.names import Names

_COMPLETE = b"*"  # a member beside the keys; commits add keys to complete and incomplete lists alike
# Lists of periods that nobody asks for vanish. The next reader lists the store again.
_EXPIRE_SECONDS = 24 * 3600


class IndexList:
    """Keys of index objects by tenant and period, and periods by tenant. Raises WalUnavailable, WalFull."""

    def __init__(self, redis: Redis, names: Names) -> None:
        self._redis = redis
        self._names = names

    async def keys(self, tenant: str, periods: Sequence[str]) -> list[list[str] | None]:
        """For each period its keys, or None where the list is not complete."""
        return await self._members([self._names.index_list(tenant, period) for period in periods])

    async def periods(self, tenant: str) -> list[str] | None:
        return (await self._members([self._names.period_list(tenant)]))[0]

    async def fill_keys(self, tenant: str, period: str, keys: Iterable[str]) -> None:
        await self._fill(self._names.index_list(tenant, period), keys)

    async def fill_periods(self, tenant: str, periods: Iterable[str]) -> None:
        await self._fill(self._names.period_list(tenant), periods)

    async def _members(self, names: Sequence[str]) -> list[list[str] | None]:
        with translated("read the index list"):
            async with self._redis.pipeline(transaction=False) as pipe:
                for name in names:
                    pipe.smembers(name)
                answers = await pipe.execute()
        return [
            [member.decode() for member in members if member != _COMPLETE] if _COMPLETE in members else None
            for members in answers
        ]

    async def _fill(self, name: str, members: Iterable[str]) -> None:
        with translated("fill the index list"):
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.sadd(name, *members, _COMPLETE)
                pipe.expire(name, _EXPIRE_SECONDS)
                await pipe.execute()
