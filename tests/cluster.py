"""Several replicas on one Redis and one store, and what tests of stored data ask of them."""

import uuid

from redis.asyncio import Redis

from log_aggregator.services.ingester import FlushPolicy
from log_aggregator.storage.memory import MemoryStore
from log_aggregator.wal.names import Names
from replica import HOUR_NS, Entry, Replica

TENANT = "tenant"
LATER_NS = 100 * 24 * HOUR_NS  # when every period of the tests is over


def flipped(data: bytes, place: int) -> bytes:
    """With one bit changed."""
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


class Cluster:
    """Replicas on one Redis and one store."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.names = Names(uuid.uuid4().hex)
        self.store = MemoryStore()
        self._replicas: list[Replica] = []

    def reader(self, *policy: FlushPolicy) -> Replica:
        replica = Replica(self.redis, self.names, self.store, f"replica-{len(self._replicas)}", *policy)
        self._replicas.append(replica)
        return replica

    async def writer(self, *policy: FlushPolicy) -> Replica:
        """One that takes pushes."""
        replica = self.reader(*policy)
        await replica.start()
        return replica

    async def flushed(self, count: int, tenant: str = TENANT) -> list[Entry]:
        """So many flushes of entries of one period."""
        writer = await self.writer()
        entries: list[Entry] = []
        for flush in range(count):
            pushed = [Entry(tenant, f"stream-{n % 3}", flush * 1000 + n, f"line {flush} {n}") for n in range(10)]
            await writer.push(pushed)
            await writer.flush()
            entries += pushed
        return entries

    async def keys(self, part: str, tenant: str = TENANT) -> list[str]:
        return [meta.key async for meta in self.store.list(f"{tenant}/{part}/")]

    async def redis_keys(self) -> list[bytes]:
        tag = self.names.epochs.partition("}")[0]
        return [key async for key in self.redis.scan_iter(f"{tag}}}*")]

    async def redis_state(self) -> dict[bytes, bytes]:
        return {key: await self.redis.dump(key) for key in await self.redis_keys()}

    async def expire_leases(self) -> None:
        """What time does to the leases of those who are dead or paused."""
        async for key in self.redis.scan_iter(self.names.lease("*")):
            await self.redis.delete(key)

    async def wipe_redis(self) -> None:
        await self.redis.delete(*await self.redis_keys())

    async def restore_redis(self, state: dict[bytes, bytes]) -> None:
        """A failover to a server that lagged behind."""
        await self.wipe_redis()
        for key, value in state.items():
            await self.redis.restore(key, 0, value)

    async def end(self) -> None:
        for replica in self._replicas:
            await replica.end()
