"""An object store that fails and dawdles by a seed, for tests of those who use a store."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from random import Random

from log_aggregator.clock import Clock
from log_aggregator.errors import LogAggregatorError
from log_aggregator.storage.errors import StoreUnavailable
from log_aggregator.storage.operations import Operation
from log_aggregator.storage.store import ByteRange, ObjectMeta, ObjectStore


@dataclass(frozen=True, slots=True)
class Faults:
    """Probabilities between 0 and 1, and which operations they concern."""

    before: float = 0.0  # fails, and nothing has happened
    after: float = 0.0  # a change takes effect, but its caller hears of a failure; of a read, the answer is lost
    delay_seconds: float = 0.0  # at most, on the clock
    operations: frozenset[Operation] = frozenset(Operation)
    error: type[LogAggregatorError] = StoreUnavailable


class FaultyStore:
    """The same seed and the same sequence of calls meet the same faults. Set `faults` anew to change the weather."""

    def __init__(self, store: ObjectStore, faults: Faults, seed: int, clock: Clock) -> None:
        self.faults = faults
        self.failures = 0
        self._store = store
        self._random = Random(seed)
        self._clock = clock

    async def get(self, key: str, byte_range: ByteRange | None = None) -> bytes:
        operation = Operation.GET if byte_range is None else Operation.GET_RANGE
        await self._before(operation, key)
        data = await self._store.get(key, byte_range)
        self._after(operation, key)
        return data

    async def head(self, key: str) -> ObjectMeta:
        await self._before(Operation.ATTRIBUTES, key)
        meta = await self._store.head(key)
        self._after(Operation.ATTRIBUTES, key)
        return meta

    async def put(self, key: str, data: bytes | memoryview, *, if_absent: bool = False) -> None:
        await self._before(Operation.UPLOAD, key)
        await self._store.put(key, data, if_absent=if_absent)
        self._after(Operation.UPLOAD, key)

    async def delete(self, keys: Sequence[str]) -> None:
        """Each key meets its own faults, so that a failed delete may have removed some of them."""
        for key in keys:
            await self._before(Operation.DELETE, key)
            await self._store.delete([key])
            self._after(Operation.DELETE, key)

    async def list_prefixes(self, prefix: str) -> Sequence[str]:
        await self._before(Operation.ITER, prefix)
        prefixes = await self._store.list_prefixes(prefix)
        self._after(Operation.ITER, prefix)
        return prefixes

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectMeta]:
        """May fail between any two objects."""
        await self._before(Operation.ITER, prefix)
        async for meta in self._store.list(prefix, after=after):
            yield meta
            self._after(Operation.ITER, prefix)

    async def close(self) -> None:
        await self._store.close()

    async def _before(self, operation: Operation, key: str) -> None:
        if operation not in self.faults.operations:
            return
        if self.faults.delay_seconds:
            await self._clock.sleep(self._random.uniform(0, self.faults.delay_seconds))
        self._fail(self.faults.before, f"{operation} of {key}: failed before it began")

    def _after(self, operation: Operation, key: str) -> None:
        if operation in self.faults.operations:
            self._fail(self.faults.after, f"{operation} of {key}: failed after it was done")

    def _fail(self, probability: float, message: str) -> None:
        if self._random.random() < probability:
            self.failures += 1
            raise self.faults.error(message)
