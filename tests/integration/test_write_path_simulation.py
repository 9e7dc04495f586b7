"""Random histories of replicas that are paused, fail, die and take over, checked against what they acknowledged.

SIMULATION_SEEDS=1000 runs that many; SIMULATION_SEED=42 runs one again. A failure prints the history.
"""

import asyncio
import os
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterator
from random import Random
from typing import Any

import pytest
from redis.asyncio import Redis

from log_aggregator.errors import LogAggregatorError
from log_aggregator.storage.memory import MemoryStore
from log_aggregator.wal.connection import connect
from log_aggregator.wal.names import Names
from replica import HOUR_NS, Entry, Fate, Killed, Replica
from servers import RedisServer

SEEDS = (
    [int(os.environ["SIMULATION_SEED"])]
    if "SIMULATION_SEED" in os.environ
    else list(range(int(os.environ.get("SIMULATION_SEEDS", "25"))))
)
ACTIONS = 60
REPLICAS = 3
TENANTS = ("one", "two")
# Most steps are simply done.
FATES = (None, None, None, None, Fate.HELD, Fate.HELD, Fate.FAILED, Fate.LOST, Fate.KILLED)
LONGEST_FLUSH_STEPS = 14


class Simulation:
    """One history. Each action runs until it is done or held; a held one goes on when the history says so."""

    def __init__(self, redis: Redis, random: Random) -> None:
        self.history: list[str] = []
        self._redis = redis
        self._random = random
        self._names = Names(uuid.uuid4().hex)
        self._store = MemoryStore()
        self._replicas: list[Replica] = []
        self._watcher = Replica(redis, self._names, self._store, "watcher")
        self._acknowledged: set[Entry] = set()
        self._tried: set[Entry] = set()
        self._under_way: dict[asyncio.Task[None], Replica] = {}
        self._count = 0

    async def run(self) -> None:
        try:
            for _ in range(REPLICAS):
                await self._begin()
            actions = (
                self._push,
                self._push,
                self._push,
                self._flush,
                self._sweep,
                self._expire,
                self._resume,
                self._kill,
            )
            for _ in range(ACTIONS):
                await self._random.choice(actions)()
                await self._check(self._watcher)
            await self._settle()
        finally:
            for replica in self._replicas:
                await self._end(replica)

    async def _begin(self) -> None:
        replica = Replica(self._redis, self._names, self._store, f"replica-{self._count}")
        self._count += 1
        self._replicas.append(replica)
        await replica.start()

    async def _push(self) -> None:
        self._count += 1
        tenant, first_hour = self._random.choice(TENANTS), self._random.randrange(3)
        entries = [
            Entry(tenant, f"stream-{self._random.randrange(3)}", (first_hour + number) * HOUR_NS, f"line {self._count}")
            for number in range(self._random.randint(1, 3))
        ]
        self._tried.update(entries)
        replica = self._random.choice(self._replicas)

        async def push() -> None:
            await replica.push(entries)
            self._acknowledged.update(entries)

        await self._act(f"push {self._count}", replica, push(), steps=2)

    async def _flush(self) -> None:
        replica = self._random.choice(self._replicas)
        await self._act("flush", replica, replica.flush(), LONGEST_FLUSH_STEPS)

    async def _sweep(self) -> None:
        replica = self._random.choice(self._replicas)

        async def sweep() -> None:
            await replica.takeover.sweep()

        await self._act("sweep", replica, sweep(), LONGEST_FLUSH_STEPS)

    async def _act(self, what: str, replica: Replica, action: Coroutine[Any, Any, None], steps: int) -> None:
        fate = self._random.choice(FATES)
        if replica.gate.held.is_set() and not replica.gate.resumed.is_set():
            fate = None  # one of its steps is held: this is another of its tasks
        elif fate is not None:
            replica.gate.plan(self._random.randrange(steps), fate)
        self.history.append(f"{replica.holder}: {what}, {fate}")
        task = asyncio.create_task(action)
        held = asyncio.create_task(replica.gate.held.wait())
        await asyncio.wait((task, held), timeout=None if fate else 0.2, return_when=asyncio.FIRST_COMPLETED)
        held.cancel()
        self._under_way[task] = replica
        if replica.gate.dead:
            await self._replace(replica)

    async def _expire(self) -> None:
        """Time goes by for all that hold a lease and do not renew it, as far as Redis knows."""
        keys = [key async for key in self._redis.scan_iter(self._names.lease("*"))]
        for key in sorted(keys):
            if self._random.random() < 0.5:
                await self._redis.delete(key)
        self.history.append("leases expire")

    async def _resume(self) -> None:
        replica = self._random.choice(self._replicas)
        self.history.append(f"{replica.holder}: resume")
        replica.gate.resumed.set()
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=0.05)
        if replica.gate.dead:
            await self._replace(replica)

    async def _kill(self) -> None:
        if self._random.random() < 0.3:
            await self._replace(self._random.choice(self._replicas))

    async def _replace(self, replica: Replica) -> None:
        self.history.append(f"{replica.holder}: dies")
        self._replicas.remove(replica)
        await self._end(replica)
        await self._begin()

    async def _end(self, replica: Replica) -> None:
        await replica.end()
        tasks = [task for task, of_replica in self._under_way.items() if of_replica is replica]
        for task in tasks:
            task.cancel()  # it may wait for what the dead process would have told it
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _settle(self) -> None:
        """In the end everything is in the store, once, and so it is for one who has only the store."""
        for replica in self._replicas:
            replica.gate.fates = {}
            replica.gate.resumed.set()
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=5)
        await self._expire_all()
        last = Replica(self._redis, self._names, self._store, "last")
        await last.takeover.sweep()
        assert await last.logs.states() == []
        await self._check(self._watcher)
        await self._check(last)
        await self._redis.flushdb()
        await self._check(Replica(self._redis, self._names, self._store, "from the store alone"))

    async def _expire_all(self) -> None:
        async for key in self._redis.scan_iter(self._names.lease("*")):
            await self._redis.delete(key)

    async def _check(self, reader: Replica) -> None:
        for tenant in TENANTS:
            expected = {entry for entry in self._acknowledged if entry.tenant == tenant}
            found = Counter(await reader.entries(tenant))
            assert expected - set(found) == set()
            assert set(found) - self._tried == set()
            assert [entry for entry, count in found.items() if count > 1] == []
        await self._reap()

    async def _reap(self) -> None:
        """What ended may have failed in the ways that were planned, and in no other."""
        ended = [task for task in self._under_way if task.done()]
        for task in ended:
            del self._under_way[task]
            error = None if task.cancelled() else task.exception()
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            assert error is None or isinstance(error, LogAggregatorError | Killed), error


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer(appendonly=False) as started:
        yield started


@pytest.fixture
async def redis(server: RedisServer) -> AsyncIterator[Redis]:
    client = connect(server.url)
    yield client
    await client.aclose()


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_random_history(redis: Redis, seed: int) -> None:
    simulation = Simulation(redis, Random(seed))
    try:
        await simulation.run()
    except BaseException:
        print(*simulation.history, sep="\n")
        raise
