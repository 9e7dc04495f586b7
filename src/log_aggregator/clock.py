"""Time as a dependency, so that tests can hold it still."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol


class Clock(Protocol):
    """Wall time in nanoseconds, monotonic time in seconds, and waiting."""

    def now_ns(self) -> int:
        """Nanoseconds since the Unix epoch."""
        ...

    def monotonic_seconds(self) -> float:
        """Seconds on a clock that never goes back; only differences mean something."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's clock."""

    def now_ns(self) -> int:
        return time.time_ns()

    def monotonic_seconds(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@asynccontextmanager
async def timeout(seconds: float | None) -> AsyncIterator[None]:
    """As asyncio's, as it is from Python 3.11.3 on; None for ever.

    Before, it lets its own cancellation out, which ends the task, if the task was left marked as cancelled by what went
    before, as a group of tasks that fails may leave it.
    """
    task, given = asyncio.current_task(), asyncio.timeout(seconds)
    assert task is not None
    before = task.cancelling()
    try:
        async with given:
            yield
    except asyncio.CancelledError as error:
        if given.expired() and task.cancelling() <= before:
            raise TimeoutError from error
        raise
