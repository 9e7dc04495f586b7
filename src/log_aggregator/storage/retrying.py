"""Another try for what may succeed the next time."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from log_aggregator.clock import Clock, timeout
from log_aggregator.storage.errors import StoreUnavailable
from log_aggregator.storage.store import ByteRange, ObjectMeta, ObjectStore

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Before attempt n+1 a random part of `min(max_pause, min_pause * 2**(n-1))` goes by ("full jitter").

    The deadline bounds one operation with all its attempts and pauses; of a listing, the wait for each next object.
    """

    min_pause_seconds: float = 0.1
    max_pause_seconds: float = 3.0
    max_attempts: int = 5
    deadline_seconds: float = 60.0


class Retrying:
    """Repeats an operation after StoreUnavailable, and after no other error."""

    def __init__(self, store: ObjectStore, policy: RetryPolicy, clock: Clock, random: Random) -> None:
        self._store = store
        self._policy = policy
        self._clock = clock
        self._random = random

    async def get(self, key: str, byte_range: ByteRange | None = None) -> bytes:
        return await self._repeat(f"get of {key}", lambda: self._store.get(key, byte_range))

    async def head(self, key: str) -> ObjectMeta:
        return await self._repeat(f"head of {key}", lambda: self._store.head(key))

    async def put(self, key: str, data: bytes | memoryview, *, if_absent: bool = False) -> None:
        await self._repeat(f"put of {key}", lambda: self._store.put(key, data, if_absent=if_absent))

    async def delete(self, keys: Sequence[str]) -> None:
        await self._repeat(f"delete of {len(keys)} objects", lambda: self._store.delete(keys))

    async def list_prefixes(self, prefix: str) -> Sequence[str]:
        return await self._repeat(f"list of {prefix}", lambda: self._store.list_prefixes(prefix))

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectMeta]:
        listing: AsyncIterator[ObjectMeta] | None = None
        last = after

        async def following() -> ObjectMeta | None:
            nonlocal listing
            # A listing that failed or was cancelled has ended: the next attempt goes on with a new one.
            current, listing = listing or self._store.list(prefix, after=last), None
            meta = await anext(current, None)
            listing = current
            return meta

        while (meta := await self._repeat(f"list of {prefix}", following)) is not None:
            last = meta.key
            yield meta

    async def close(self) -> None:
        await self._store.close()

    async def _repeat(self, what: str, attempt: Callable[[], Awaitable[Result]]) -> Result:
        """The first good result, or the last error when attempts or time are used up."""
        deadline = self._clock.monotonic_seconds() + self._policy.deadline_seconds
        for earlier in range(self._policy.max_attempts - 1):
            try:
                return await self._within(deadline, what, attempt)
            except StoreUnavailable:
                pause = self._random.uniform(0, self._longest_pause(earlier))
                if self._clock.monotonic_seconds() + pause >= deadline:
                    raise
            await self._clock.sleep(pause)
        return await self._within(deadline, what, attempt)

    async def _within(self, deadline: float, what: str, attempt: Callable[[], Awaitable[Result]]) -> Result:
        try:
            async with timeout(deadline - self._clock.monotonic_seconds()):
                return await attempt()
        except TimeoutError as error:
            raise StoreUnavailable(f"{what}: not done within {self._policy.deadline_seconds:g} s") from error

    def _longest_pause(self, earlier_pauses: int) -> float:
        return min(self._policy.max_pause_seconds, self._policy.min_pause_seconds * 2.0 ** min(earlier_pauses, 32))
