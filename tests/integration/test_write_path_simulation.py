"""Random histories of replicas that are paused, fail, die and take over, checked against what they acknowledged.

SIMULATION_SEEDS=1000 runs that many; SIMULATION_SEED=42 runs one again. A failure prints the history.
"""

from collections import Counter
from random import Random

import pytest
from redis.asyncio import Redis

from fated_replicas import SEEDS, TENANTS, FatedReplicas
from log_aggregator.storage.memory import MemoryStore
from replica import HOUR_NS, Entry, Replica

ACTIONS = 60


class Simulation(FatedReplicas):
    """One history."""

    flush_steps = 14

    def __init__(self, redis: Redis, random: Random) -> None:
        super().__init__(redis, random, MemoryStore())
        self._watcher = self._made("watcher")
        self._acknowledged: set[Entry] = set()
        self._tried: set[Entry] = set()

    async def run(self) -> None:
        try:
            await self._begin_all()
            actions = (
                self._push,
                self._push,
                self._push,
                self._flush,
                self._sweep,
                self._expire_leases,
                self._resume,
                self._kill,
            )
            for _ in range(ACTIONS):
                await self._random.choice(actions)()
                await self._check(self._watcher)
            await self._settle()
        finally:
            await self._end_all()

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

        await self._act(f"push {self._count}", replica, push, steps=2)

    async def _settle(self) -> None:
        """In the end everything is in the store, once, and so it is for one who has only the store."""
        await self._let_all_finish()
        await self._delete_leases()
        last = self._made("last")
        await last.takeover.sweep()
        assert await last.logs.states() == []
        await self._check(self._watcher)
        await self._check(last)
        await self._redis.flushdb()
        await self._check(self._made("from the store alone"))

    async def _check(self, reader: Replica) -> None:
        for tenant in TENANTS:
            expected = {entry for entry in self._acknowledged if entry.tenant == tenant}
            found = Counter(await reader.entries(tenant))
            assert expected - set(found) == set()
            assert set(found) - self._tried == set()
            assert [entry for entry, count in found.items() if count > 1] == []
        await self._reap()


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_random_history(redis: Redis, seed: int) -> None:
    simulation = Simulation(redis, Random(seed))
    try:
        await simulation.run()
    except BaseException:
        print(*simulation.history, sep="\n")
        raise
