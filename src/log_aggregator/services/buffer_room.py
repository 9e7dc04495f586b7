"""Room for what waits to be flushed: pushes that find none wait a little for a flush to make some.

A client that is refused comes back after a pause, or, as Fluent Bit by its default, once only. One whose answer comes
later simply sends more slowly, as fast as flushes follow.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import ClassVar

from log_aggregator.clock import timeout
from log_aggregator.errors import ErrorCode, LogAggregatorError
from log_aggregator.services.room import has_room

UsedBytes = Callable[[str], tuple[int, int]]
"""What waits to be flushed: of all tenants, and of one."""


class BufferFull(LogAggregatorError):
    """What may wait to be flushed does, of the tenant or of all, usually because the object store is slow or down."""

    code: ClassVar[ErrorCode] = ErrorCode.UNAVAILABLE


class BufferRoom:
    """Sets `lacking` for whoever flushes. What waits for room is in memory too, and counts as what has it."""

    def __init__(
        self, capacity_bytes: int, used_bytes: UsedBytes, max_wait_seconds: float, lacking: asyncio.Event
    ) -> None:
        self._capacity_bytes = capacity_bytes
        self._used_bytes = used_bytes
        self._max_wait_seconds = max_wait_seconds
        self._lacking = lacking
        self._wanted_bytes: Counter[str] = Counter()  # by tenant
        self._changed = asyncio.Event()
        self._is_growing = True

    @property
    def is_wanted(self) -> bool:
        """Whether somebody waits."""
        return self._wanted_bytes.total() > 0

    def grew(self) -> None:
        """Something has been flushed, or given up."""
        self._is_growing = True
        self._wake()

    def will_not_grow(self) -> None:
        """Flushes fail: until one does not, nobody waits."""
        self._is_growing = False
        self._wake()

    def _wake(self) -> None:
        """All that wait now look again, in their order."""
        self._changed.set()
        self._changed.clear()

    async def wait(self, tenant: str, size_bytes: int) -> None:
        """Returns when there is so much room, which the caller has to use before it awaits anything.

        Raises BufferFull when that takes too long or is not to be expected, or when too much waits for room already.
        """
        if self._is_free(tenant, size_bytes):
            return
        self._lacking.set()
        if self._may_wait(tenant, size_bytes):
            await self._wait(tenant, size_bytes)
        if not self._is_free(tenant, size_bytes):
            used, own = self._used_bytes(tenant)
            raise BufferFull(
                f"too many bytes wait to be flushed: {own} of the tenant and {used} in all, with {size_bytes} more, "
                f"would leave other tenants too little of ingester.max_buffer_bytes ({self._capacity_bytes})"
            )

    async def _wait(self, tenant: str, size_bytes: int) -> None:
        """Until there is room, or it is too late. Waiting counts until then."""
        self._wanted_bytes[tenant] += size_bytes
        try:
            async with timeout(self._max_wait_seconds):
                while self._is_growing and not self._is_free(tenant, size_bytes, counted_bytes=size_bytes):
                    await self._changed.wait()
        except TimeoutError:
            pass
        finally:
            self._wanted_bytes[tenant] -= size_bytes

    def _is_free(self, tenant: str, size_bytes: int, counted_bytes: int = 0) -> bool:
        used, own = self._used_bytes(tenant)
        others = self._wanted_bytes.total() - counted_bytes
        return has_room(self._capacity_bytes, used + others, own, size_bytes)

    def _may_wait(self, tenant: str, size_bytes: int) -> bool:
        """Whether there will be room once, and the tenant leaves others a part of what those that wait may have."""
        if not self._is_growing or not has_room(self._capacity_bytes, 0, 0, size_bytes):
            return False
        used, _ = self._used_bytes(tenant)
        wanted = self._wanted_bytes
        return has_room(self._capacity_bytes - used, wanted.total(), wanted[tenant], size_bytes)
