"""No storm of requests with credentials that the store refuses."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from log_aggregator.clock import Clock
from log_aggregator.storage.errors import ObjectExists, ObjectNotFound, StorePermissionDenied
from log_aggregator.storage.operations import Operation
from log_aggregator.storage.store import ByteRange, ObjectMeta, ObjectStore


@dataclass(frozen=True, slots=True)
class CircuitPolicy:
    """After so many refusals in a row, one request per cool-down tries whether the store accepts us again."""

    refusals: int = 5
    cool_down_seconds: float = 30.0


@dataclass(slots=True)
class _Circuit:
    refusals: int = 0
    next_trial_seconds: float = 0.0


class CircuitBreaker:
    """Raises StorePermissionDenied without asking the store while it keeps refusing the same kind of operation.

    Each kind has its own count: a bucket that may be read but not written must not be sent put after put.
    """

    def __init__(self, store: ObjectStore, policy: CircuitPolicy, clock: Clock) -> None:
        self._store = store
        self._policy = policy
        self._clock = clock
        self._circuits = {operation: _Circuit() for operation in Operation}

    async def get(self, key: str, byte_range: ByteRange | None = None) -> bytes:
        with self._guard(Operation.GET):
            return await self._store.get(key, byte_range)

    async def head(self, key: str) -> ObjectMeta:
        with self._guard(Operation.ATTRIBUTES):
            return await self._store.head(key)

    async def put(self, key: str, data: bytes | memoryview, *, if_absent: bool = False) -> None:
        with self._guard(Operation.UPLOAD):
            await self._store.put(key, data, if_absent=if_absent)

    async def delete(self, keys: Sequence[str]) -> None:
        with self._guard(Operation.DELETE):
            await self._store.delete(keys)

    async def list_prefixes(self, prefix: str) -> Sequence[str]:
        with self._guard(Operation.ITER):
            return await self._store.list_prefixes(prefix)

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectMeta]:
        with self._guard(Operation.ITER):
            async for meta in self._store.list(prefix, after=after):
                yield meta

    async def close(self) -> None:
        await self._store.close()

    @contextmanager
    def _guard(self, operation: Operation) -> Iterator[None]:
        circuit = self._circuits[operation]
        self._refuse_if_open(operation, circuit)
        try:
            yield
        except StorePermissionDenied:
            circuit.refusals += 1
            circuit.next_trial_seconds = self._clock.monotonic_seconds() + self._policy.cool_down_seconds
            raise
        except (ObjectNotFound, ObjectExists):
            circuit.refusals = 0
            raise
        circuit.refusals = 0

    def _refuse_if_open(self, operation: Operation, circuit: _Circuit) -> None:
        if circuit.refusals < self._policy.refusals:
            return
        now = self._clock.monotonic_seconds()
        if now < circuit.next_trial_seconds:
            raise StorePermissionDenied(
                f"{operation}: the object store refused our credentials {circuit.refusals} times in a row; "
                f"not asked again for {circuit.next_trial_seconds - now:.0f} s"
            )
        # This request is the trial. The others wait for its outcome, but not for ever if it hangs.
        circuit.next_trial_seconds = now + self._policy.cool_down_seconds
