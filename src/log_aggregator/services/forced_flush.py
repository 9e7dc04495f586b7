"""Flushing every replica's buffer on request."""

from typing import ClassVar

from log_aggregator.clock import Clock, timeout
from log_aggregator.errors import ErrorCode, LogAggregatorError
from log_aggregator.model.position import Position
from log_aggregator.services.takeover import Takeover
from log_aggregator.wal.log import WriteAheadLogs

_POLL_SECONDS = 0.1
_DEADLINE_SECONDS = 120.0


class FlushTimeout(LogAggregatorError):
    code: ClassVar[ErrorCode] = ErrorCode.TIMEOUT


class ForcedFlush:
    """Call it: returns when all that was acknowledged before is in the object store. Raises FlushTimeout."""

    def __init__(self, logs: WriteAheadLogs, takeover: Takeover, clock: Clock) -> None:
        self._logs = logs
        self._takeover = takeover
        self._clock = clock

    async def __call__(self) -> None:
        ends = await self._logs.heads([state.wal for state in await self._logs.states()])
        await self._logs.request_flush()
        await self._takeover.sweep()
        try:
            async with timeout(_DEADLINE_SECONDS):
                while not await self._trimmed({wal: end for wal, end in ends.items() if end is not None}):
                    await self._clock.sleep(_POLL_SECONDS)
        except TimeoutError as error:
            raise FlushTimeout(f"not everything was flushed within {_DEADLINE_SECONDS:.0f} s") from error

    async def _trimmed(self, ends: dict[str, Position]) -> bool:
        trimmed = {state.wal: state.trimmed for state in await self._logs.states()}
        return all(
            wal not in trimmed or ((done := trimmed[wal]) is not None and done >= end) for wal, end in ends.items()
        )
