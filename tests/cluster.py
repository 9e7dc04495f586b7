"""Several replicas on one Redis and one store, and what tests of stored data ask of them."""

import uuid

from redis.asyncio import Redis

from log_aggregator.storage.memory import MemoryStore
from log_aggregator.wal.names import Names
from replica import HOUR_NS, Entry, Replica

TENANT = "tenant"
LATER_NS = 100 * 24 * HOUR_NS  # when every period of the tests is over


class Cluster:
    """Replicas on one Redis and one store."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.names = Names(uuid.uuid4().hex)
        self.store = MemoryStore()
        self._replicas: list[Replica] = []

    def reader(self) -> Replica:
        self._replicas.append(Replica(self.redis, self.names, self.store, f"replica-{len(self._replicas)}"))
        return self._replicas[-1]

    async def writer(self) -> Replica:
        replica = self.reader()
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

    async def restore_redis(self, state: dict[bytes, bytes]) -> None:
        """A failover to a server that lagged behind."""
        await self.redis.delete(*await self.redis_keys())
        for key, value in state.items():
            await self.redis.restore(key, 0, value)

    async def end(self) -> None:
        for replica in self._replicas:
            await replica.end()
