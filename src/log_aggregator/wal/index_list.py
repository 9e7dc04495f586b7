"""Redis' copy of the list of index objects. It is either complete or known not to be; losing it costs a listing."""

import secrets
from collections.abc import Iterable, Sequence

from redis.asyncio import Redis

from log_aggregator.wal import scripts
from log_aggregator.wal.connection import repeated, translated
from log_aggregator.wal.names import Names

# Members beside the keys; commits add keys to complete and incomplete lists alike.
_COMPLETE = "*"
_FILLING = "*filling-"
_MARK = b"*"
# The next reader lists the store again. So long may a list at most be wrong after Redis came back with an older state
# that no living process knows to be old.
_EXPIRE_MS = 3600 * 1000


class IndexList:
    """Keys of index objects by tenant and period, and periods by tenant. Raises WalUnavailable."""

    def __init__(self, redis: Redis, names: Names) -> None:
        self._redis = redis
        self._names = names

    async def keys(self, tenant: str, periods: Sequence[str]) -> list[list[str] | None]:
        """For each period its keys, or None where the list is not complete."""
        return await self._members([self._names.index_list(tenant, period) for period in periods])

    async def periods(self, tenant: str) -> list[str] | None:
        return (await self._members([self._names.period_list(tenant)]))[0]

    async def add(self, tenant: str, period: str, key: str) -> None:
        """Raises WalFull too."""
        with translated("add to the index list"):
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.sadd(self._names.index_list(tenant, period), key)
                pipe.sadd(self._names.period_list(tenant), period)
                await pipe.execute()

    async def forget(self, tenant: str, period: str) -> None:
        """The next reader lists the store."""
        with translated("forget the index list"):
            await self._redis.unlink(self._names.index_list(tenant, period))

    def filling_keys(self, tenant: str, period: str) -> "Filling":
        return Filling(self._redis, self._names.index_list(tenant, period))

    def filling_periods(self, tenant: str) -> "Filling":
        return Filling(self._redis, self._names.period_list(tenant))

    async def _members(self, names: Sequence[str]) -> list[list[str] | None]:
        async def read() -> list[set[bytes]]:
            async with self._redis.pipeline(transaction=False) as pipe:
                for name in names:
                    pipe.smembers(name)
                return await pipe.execute()

        answers = await repeated("read the index list", read)
        return [
            [member.decode() for member in members if not _is_mark(member)] if _COMPLETE.encode() in members else None
            for members in answers
        ]


def _is_mark(member: bytes) -> bool:
    """A tenant's name may begin like a mark, but a key has a slash behind it."""
    return member.startswith(_MARK) and b"/" not in member


class Filling:
    """Makes one list complete: `begin`, then list the store, then `end`. Both raise WalUnavailable, WalFull.

    A list that Redis lost in between stays incomplete, since a key that a commit added meanwhile is lost with it.
    Whoever removes keys from the store removes the whole list first, for the same effect.
    """

    def __init__(self, redis: Redis, name: str) -> None:
        self._redis = redis
        self._name = name
        self._mark = _FILLING + secrets.token_hex(8)
        self._fill = redis.register_script(scripts.FILL)

    async def begin(self) -> None:
        with translated("begin to fill the index list"):
            await self._redis.sadd(self._name, self._mark)

    async def end(self, members: Iterable[str]) -> None:
        with translated("fill the index list"):
            await self._fill(keys=[self._name], args=[self._mark, _COMPLETE, _EXPIRE_MS, *members])
