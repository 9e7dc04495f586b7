"""How many queries run at once, and whose turn it is.

A tenant that sends many queries delays its own: tenants with waiting queries take turns.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

from log_aggregator.errors import ErrorCode, LogAggregatorError


class TooManyOutstanding(LogAggregatorError):
    """The tenant has as many queries waiting as it may have."""

    code: ClassVar[ErrorCode] = ErrorCode.RATE_LIMITED

    def __init__(self, limit: int) -> None:
        super().__init__(f"too many outstanding requests (limit: {limit}, frontend.max_outstanding_per_tenant)")


class Admission:
    """Of one process. Not safe to use from several threads."""

    def __init__(self, concurrent: int, max_outstanding_per_tenant: int) -> None:
        self._concurrent = concurrent
        self._free = concurrent
        self._idle = asyncio.Event()
        self._idle.set()
        self._max_outstanding = max_outstanding_per_tenant
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def slot(self, tenant: str) -> AsyncIterator[None]:
        """Waits for the tenant's turn, and holds a slot while the block runs. Raises TooManyOutstanding."""
        await self._enter(tenant)
        try:
            yield
        finally:
            self._leave()

    @property
    def is_idle(self) -> bool:
        """Whether no query runs."""
        return self._free == self._concurrent

    async def wait_idle(self) -> None:
        while not self.is_idle:
            await self._idle.wait()

    async def _enter(self, tenant: str) -> None:
        if self._free:
            self._free -= 1
            self._idle.clear()
            return
        queue = self._waiting.setdefault(tenant, deque())
        if len(queue) >= self._max_outstanding:
            raise TooManyOutstanding(self._max_outstanding)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._forget(tenant, turn)
            else:  # the slot was given in the same moment
                self._leave()
            raise

    def _leave(self) -> None:
        """Hands the slot to the next tenant, which then stands behind the others."""
        if not self._waiting:
            self._free += 1
            if self.is_idle:
                self._idle.set()
            return
        tenant, queue = self._waiting.popitem(last=False)
        turn = queue.popleft()
        if queue:
            self._waiting[tenant] = queue
        if turn.cancelled():
            self._leave()
        else:
            turn.set_result(None)

    def _forget(self, tenant: str, turn: "asyncio.Future[None]") -> None:
        queue = self._waiting.get(tenant)
        if queue is not None and turn in queue:
            queue.remove(turn)
            if not queue:
                del self._waiting[tenant]
