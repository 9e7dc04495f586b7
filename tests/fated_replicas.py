"""What simulations share: replicas whose steps are held, fail, or are their end, at random but by the seed."""

import asyncio
import os
import uuid
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, ClassVar

from redis.asyncio import Redis

from log_aggregator.errors import LogAggregatorError
from log_aggregator.services.compactor import RowsUnread
from log_aggregator.storage.memory import MemoryStore
from log_aggregator.wal.names import Names
from replica import Fate, Killed, Replica

SEEDS = (
    [int(os.environ["SIMULATION_SEED"])]
    if "SIMULATION_SEED" in os.environ
    else list(range(int(os.environ.get("SIMULATION_SEEDS", "25"))))
)
TENANTS = ("one", "two")
# Most steps are simply done.
_FATES = (None, None, None, None, Fate.HELD, Fate.HELD, Fate.FAILED, Fate.LOST, Fate.KILLED)
_REPLICAS = 3


class FatedReplicas:
    """Each action runs until it is done or held; a held one goes on when the history says so."""

    # How long a fated action may go on without an end or a held step.
    patience_seconds: ClassVar[float | None] = None
    # Among so many steps of a flush or a takeover one is chosen for the fate.
    flush_steps: ClassVar[int] = 20

    def __init__(self, redis: Redis, random: Random, store: MemoryStore) -> None:
        self.history: list[str] = []
        self._redis = redis
        self._random = random
        self._names = Names(uuid.uuid4().hex)
        self._store = store
        self._replicas: list[Replica] = []
        self._under_way: dict[asyncio.Task[None], Replica] = {}
        self._count = 0

    def _made(self, holder: str) -> Replica:
        return Replica(self._redis, self._names, self._store, holder)

    async def _begin_all(self) -> None:
        for _ in range(_REPLICAS):
            await self._begin()

    async def _end_all(self) -> None:
        for replica in list(self._replicas):
            await self._end(replica)

    async def _flush(self) -> None:
        replica = self._random.choice(self._replicas)
        await self._act("flush", replica, replica.flush, self.flush_steps)

    async def _sweep(self) -> None:
        replica = self._random.choice(self._replicas)

        async def sweep() -> None:
            await replica.takeover.sweep()

        await self._act("take over", replica, sweep, self.flush_steps)

    async def _act(
        self, what: str, replica: Replica, action: Callable[[], Coroutine[Any, Any, None]], steps: int
    ) -> None:
        if replica.gate.dead:  # of something that went on while the others acted
            await self._replace(replica)
            return
        fate = self._random.choice(_FATES)
        if replica.gate.held.is_set() and not replica.gate.resumed.is_set():
            fate = None  # one of its steps is held: this is another of its tasks
        elif fate is not None:
            replica.gate.plan(self._random.randrange(steps), fate)
        self.history.append(f"{replica.holder}: {what}, {fate}")
        task = asyncio.create_task(action())
        held = asyncio.create_task(replica.gate.held.wait())
        patience = self.patience_seconds if fate else 0.2
        await asyncio.wait((task, held), timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        held.cancel()
        self._under_way[task] = replica
        if replica.gate.dead:
            await self._replace(replica)

    async def _expire_leases(self) -> None:
        """Time goes by for some that hold a lease and do not renew it, as far as Redis knows."""
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

    async def _let_all_finish(self) -> None:
        """No step is held or fails any more."""
        for replica in self._replicas:
            replica.gate.fates = {}
            replica.gate.resumed.set()
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=5)

    async def _delete_leases(self) -> None:
        async for key in self._redis.scan_iter(self._names.lease("*")):
            await self._redis.delete(key)

    async def _begin(self) -> None:
        replica = self._made(f"replica-{self._count}")
        self._count += 1
        self._replicas.append(replica)
        await replica.start()

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

    async def _reap(self) -> None:
        """What ended may have failed in the ways that were planned, and in no other."""
        ended = [task for task in self._under_way if task.done()]
        for task in ended:
            del self._under_way[task]
            error = None if task.cancelled() else task.exception()
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            assert error is None or isinstance(error, LogAggregatorError | Killed), error
            assert not isinstance(error, RowsUnread), error  # which no fate explains
