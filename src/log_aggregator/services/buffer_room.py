"""Room for what waits to be flushed: pushes that find none wait a little for a flush to make some.

A client that is refused comes back after a pause, or, as Fluent Bit by its default, once only. One whose answer comes
later simply sends more slowly, as fast as flushes follow.
"""

import asyncio
from collections.abc import Callable
from typing import ClassVar

from log_aggregator.clock import timeout
from log_aggregator.errors import ErrorCode, LogAggregatorError
from log_aggregator.services.room import Room, has_room

_PARTS_OF_BUFFER = 8
UsedBytes = Callable[[str], tuple[int, int]]
"""What waits to be flushed: of all tenants, and of one."""


class BufferFull(LogAggregatorError):
    """What may wait to be flushed does, of the tenant or of all, usually because the object store is slow or down."""

    code: ClassVar[ErrorCode] = ErrorCode.UNAVAILABLE


class BufferRoom:
    """Sets `lacking` for whoever flushes.

    What waits for room is in memory too: an eighth as much as the buffer at most, in which tenants have their shares as
    they have in the buffer. It takes no room from those who need not wait.
    """

    def __init__(
        self, capacity_bytes: int, used_bytes: UsedBytes, max_wait_seconds: float, lacking: asyncio.Event
    ) -> None:
        self._capacity_bytes = capacity_bytes
        self._used_bytes = used_bytes
        self._max_wait_seconds = max_wait_seconds
        self._lacking = lacking
        self._waiting = Room(capacity_bytes // _PARTS_OF_BUFFER)
        self._changed = asyncio.Event()
        self._is_growing = True
        self.is_lacking = False
        """Whether a push has found no room, since something was flushed last, and would have found some else."""

    def grew(self) -> None:
        """Something has been flushed, or is somebody else's to flush."""
        self._is_growing, self.is_lacking = True, False
        self.look_again()

    def will_not_grow(self) -> None:
        """Flushes fail: until one does not, nobody waits."""
        self._is_growing = False
        self.look_again()

    def look_again(self) -> None:
        """There may be more room: all that wait now look, in their order."""
        self._changed.set()
        self._changed.clear()

    async def wait(self, tenant: str, size_bytes: int) -> None:
        """Returns when there is so much room, which the caller has to use before it awaits anything.

        Raises BufferFull when that takes too long or is not to be expected, or when too much waits for room already.
        """
        if self._is_free(tenant, size_bytes):
            return
        if has_room(self._capacity_bytes, 0, 0, size_bytes):
            self.is_lacking = True
            self._lacking.set()
        if self._is_growing and self._waiting.take(tenant, size_bytes):
            try:
                await self._until_free(tenant, size_bytes)
            finally:
                self._waiting.give_back(tenant, size_bytes)
        if not self._is_free(tenant, size_bytes):
            used, own = self._used_bytes(tenant)
            raise BufferFull(
                f"too many bytes wait to be flushed: {own} of the tenant and {used} in all, with {size_bytes} more, "
                f"would leave other tenants too little of ingester.max_buffer_bytes ({self._capacity_bytes})"
            )

    async def _until_free(self, tenant: str, size_bytes: int) -> None:
        """Or until it is too late."""
        try:
            async with timeout(self._max_wait_seconds):
                while self._is_growing and not self._is_free(tenant, size_bytes):
                    await self._changed.wait()
        except TimeoutError:
            pass

    def _is_free(self, tenant: str, size_bytes: int) -> bool:
        return has_room(self._capacity_bytes, *self._used_bytes(tenant), size_bytes)
