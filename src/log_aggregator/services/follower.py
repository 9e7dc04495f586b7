"""What arrives in the write-ahead logs of all replicas, read once for every live tail of this process.

The logs in Redis are the truth, so that a tail sees what any replica accepts and replicas need not ask each other.
Nothing is read while nobody listens. A record that was flushed before it could be read here is read from its chunk.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from log_aggregator.clock import Clock
from log_aggregator.engine.batch import Batch
from log_aggregator.errors import LogAggregatorError
from log_aggregator.formats.errors import CorruptData, UnknownVersion
from log_aggregator.formats.wal_record import decode_record
from log_aggregator.model.position import Position
from log_aggregator.services.flushed_records import FlushedRecords, Missed
from log_aggregator.wal.log import LogState, WriteAheadLogs

logger = logging.getLogger(__name__)

_RECORDS_PER_READ = 16
# How long a new log, or a record that was flushed at once, may stay unseen.
_LOOK_SECONDS = 0.25
_RETRY_SECONDS = 0.5

Take = Callable[[Batch], Awaitable[None]]
"""What a listener does with rows of its tenant. They come in the order of arrival within a log, not across logs."""


class Follower:
    """Run it, then listen."""

    def __init__(self, logs: WriteAheadLogs, flushed: FlushedRecords, clock: Clock) -> None:
        self._logs = logs
        self._flushed = flushed
        self._clock = clock
        self._listeners: dict[str, list[Take]] = {}
        self._wanted = asyncio.Event()
        self._following = asyncio.Event()
        self._cursors: dict[str, Position | None] = {}
        self._missed: list[Missed] = []

    @asynccontextmanager
    async def listening(self, tenant: str, take: Take) -> AsyncIterator[None]:
        """Inside of the block, `take` gets every row that is acknowledged from now on.

        It may get some from before, and after a failure some twice.
        """
        listeners = self._listeners.setdefault(tenant, [])
        listeners.append(take)
        self._wanted.set()
        try:
            await self._following.wait()
            yield
        finally:
            listeners.remove(take)
            if not listeners and self._listeners.get(tenant) is listeners:
                del self._listeners[tenant]
            if not self._listeners:
                # Whoever comes next begins at the present, not where the last one went.
                self._wanted.clear()
                self._following.clear()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._wanted.wait()
            pause_seconds = 0.0
            try:
                await self._follow()
            except* LogAggregatorError as group:
                logger.warning("cannot follow the logs, will try again", extra={"error": str(group.exceptions[0])})
                pause_seconds = _RETRY_SECONDS
            # Not above: what is raised there, as a cancellation, comes out as a group in Python 3.11.2.
            if pause_seconds:
                await self._clock.sleep(pause_seconds)

    async def _follow(self) -> None:
        if not self._following.is_set():
            self._cursors = await self._logs.heads([state.wal for state in await self._logs.states()])
            self._missed = []
            self._following.set()
        while self._following.is_set():
            found = await self._wait()
            # After the records: what was trimmed before they were read is known by now.
            await self._find_missed(await self._logs.states(), found)
            for wal, records in found.items():
                for position, data in records:
                    await self._hand_out_record(wal, position, data)
            await self._recover()

    async def _wait(self) -> dict[str, list[tuple[Position, bytes]]]:
        if not self._cursors:
            await self._clock.sleep(_LOOK_SECONDS)
            return {}
        return await self._logs.wait(self._cursors, _RECORDS_PER_READ, _LOOK_SECONDS)

    async def _find_missed(
        self, states: Sequence[LogState], found: Mapping[str, Sequence[tuple[Position, bytes]]]
    ) -> None:
        """Moves the cursors: past the records, and past those that were trimmed before they were read."""
        trimmed = {state.wal: state.trimmed for state in states}
        for wal in trimmed:
            self._cursors.setdefault(wal, None)
        gone = self._cursors.keys() - trimmed.keys()
        trimmed |= await self._logs.heads(gone)
        for wal, last in trimmed.items():
            records = found.get(wal, ())
            if last is not None:
                self._miss(wal, self._cursors[wal], last, records[0][0] if records else None)
            if records:
                self._cursors[wal] = records[-1][0]
        for wal in gone - found.keys():
            del self._cursors[wal]

    def _miss(self, wal: str, after: Position | None, last: Position, before: Position | None) -> None:
        """Takes note of records behind one position, up to and with another, and before the first that was read."""
        if after is not None and last <= after:
            return
        self._cursors[wal] = last
        first_arrival = 0 if after is None else after.arrival + 1
        last_arrival = last.arrival if before is None else min(last.arrival, before.arrival - 1)
        if first_arrival <= last_arrival:
            self._missed.append(Missed(wal, first_arrival, last_arrival))

    async def _recover(self) -> None:
        while self._missed:
            for tenant in list(self._listeners):
                async for batch in self._flushed.batches(tenant, self._missed[0]):
                    await self._hand_out(tenant, batch)
            del self._missed[0]

    async def _hand_out_record(self, wal: str, position: Position, data: bytes) -> None:
        try:
            record = await asyncio.to_thread(decode_record, data)
            if record.header.tenant in self._listeners:
                segment = await asyncio.to_thread(record.segment)
                await self._hand_out(record.header.tenant, Batch(segment.streams, segment.frame))
        except (CorruptData, UnknownVersion) as error:
            logger.error("skipped a record", extra={"wal": wal, "position": str(position), "error": str(error)})

    async def _hand_out(self, tenant: str, batch: Batch) -> None:
        for take in list(self._listeners.get(tenant, ())):
            await take(batch)
