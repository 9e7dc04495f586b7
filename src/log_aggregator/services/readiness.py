"""Whether this replica can do its work: Redis answers and the object store answers."""

import asyncio
import logging

from log_aggregator.clock import Clock, timeout
from log_aggregator.errors import LogAggregatorError
from log_aggregator.storage.store import ObjectStore
from log_aggregator.wal.log import WriteAheadLogs

logger = logging.getLogger(__name__)

# Probes come every few seconds from several sides; the dependencies are asked this often at most.
_CACHE_SECONDS = 3.0
_TIMEOUT_SECONDS = 5.0
_PROBE_PREFIX = "readiness-probe/"


class Readiness:
    """Call it: None when ready, else a sentence for the operator."""

    def __init__(self, logs: WriteAheadLogs, store: ObjectStore, clock: Clock) -> None:
        self._logs = logs
        self._store = store
        self._clock = clock
        self._answer: str | None = None
        self._asked_seconds = float("-inf")
        self._asking = asyncio.Lock()

    async def __call__(self) -> str | None:
        async with self._asking:
            if self._clock.monotonic_seconds() - self._asked_seconds > _CACHE_SECONDS:
                self._answer = await self._ask()
                self._asked_seconds = self._clock.monotonic_seconds()
            return self._answer

    async def _ask(self) -> str | None:
        try:
            async with timeout(_TIMEOUT_SECONDS):
                await self._logs.states()
                async for _ in self._store.list(_PROBE_PREFIX):
                    break
        except LogAggregatorError as error:
            logger.warning("not ready", extra={"error": str(error)})
            return f"not ready: {error.told}"
        except TimeoutError:
            return f"not ready: Redis or the object store did not answer within {_TIMEOUT_SECONDS:.0f} s"
        return None
