"""Following the logs of several replicas, where every step can be held: what is flushed early, and who is gone."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from log_aggregator.clock import SystemClock
from log_aggregator.engine.batch import Batch
from log_aggregator.model.segment import LINE
from log_aggregator.services.flushed_records import FlushedRecords
from log_aggregator.services.follower import Follower
from log_aggregator.storage.memory import MemoryStore
from log_aggregator.wal.names import Names
from replica import Entry, Replica
from waiting import until

NAMES = Names("test")


@pytest.fixture
async def redis(redis: Redis) -> Redis:
    await redis.flushall()
    return redis


class Listener:
    """A follower beside one replica, and all lines that it hands out."""

    def __init__(self, replica: Replica) -> None:
        self.lines: list[str] = []
        clock = SystemClock()
        flushed = FlushedRecords(replica.scanner, clock)
        self._follower = Follower(replica.logs, flushed, clock)
        self._running: asyncio.Task[None] | None = None
        self.listening = self._follower.listening("tenant", self._take)

    async def _take(self, batch: Batch) -> None:
        self.lines += batch.frame[LINE].to_list()

    def resume(self) -> None:
        self._running = asyncio.create_task(self._follower.run())

    async def pause(self) -> None:
        """As a process that gets no time."""
        assert self._running is not None
        self._running.cancel()
        await asyncio.wait([self._running])

    async def until(self, *lines: str) -> None:
        async def has_them() -> bool:
            return len(self.lines) >= len(lines)

        await until(has_them)
        assert sorted(self.lines) == sorted(lines)


@pytest.fixture
async def listener(here: Replica) -> AsyncIterator[Listener]:
    listener = Listener(here)
    listener.resume()
    async with listener.listening:
        yield listener
    await listener.pause()


@pytest.fixture
async def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
async def here(redis: Redis, store: MemoryStore) -> AsyncIterator[Replica]:
    replica = Replica(redis, NAMES, store, "here")
    await replica.start()
    yield replica
    await replica.end()


@pytest.fixture
async def there(redis: Redis, store: MemoryStore) -> AsyncIterator[Replica]:
    replica = Replica(redis, NAMES, store, "there")
    await replica.start()
    yield replica
    await replica.end()


def entry(line: str, tenant: str = "tenant") -> list[Entry]:
    return [Entry(tenant, "stream", time.time_ns(), line)]


async def test_hands_out_what_any_replica_appends(here: Replica, there: Replica, listener: Listener) -> None:
    await here.push(entry("from here"))
    await there.push(entry("from there"))
    await there.push(entry("not ours", tenant="other"))
    await listener.until("from here", "from there")


async def test_records_that_were_flushed_before_they_were_read_come_from_their_chunks(
    here: Replica, there: Replica, listener: Listener
) -> None:
    await there.push(entry("read"))
    await listener.until("read")
    await listener.pause()
    await there.push(entry("flushed 1"))
    await there.push(entry("flushed 2"))
    await there.flush()
    await there.push(entry("unflushed"))
    listener.resume()
    await listener.until("read", "flushed 1", "flushed 2", "unflushed")


async def test_a_log_that_came_and_went_while_nobody_looked(
    redis: Redis, store: MemoryStore, here: Replica, there: Replica, listener: Listener
) -> None:
    """It is known from before its end."""
    await there.push(entry("read"))
    await listener.until("read")
    await listener.pause()
    await there.push(entry("last"))
    await there.ingester.stop(10)
    listener.resume()
    await listener.until("read", "last")


async def test_begins_at_the_present(here: Replica) -> None:
    await here.push(entry("past"))
    listener = Listener(here)
    listener.resume()
    async with listener.listening:
        await here.push(entry("present"))
        await listener.until("present")
    await listener.pause()
