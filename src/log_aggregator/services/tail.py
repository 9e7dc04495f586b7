"""The write-ahead logs as a query sees them: every acknowledged record that is still in Redis, on any replica."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from log_aggregator.formats.wal_record import RecordHeader, WalRecord, decode_record
from log_aggregator.model.lru import SizedLru
from log_aggregator.model.position import Position
from log_aggregator.model.segment import Segment
from log_aggregator.wal.log import LogState, WriteAheadLogs

_RECORDS_PER_READ = 64  # of each log and round trip
_DECODED_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class TailRecord:
    """One record of a log: where it stands, what it holds."""

    wal: str
    position: Position
    header: RecordHeader
    _encoded: WalRecord | None = field(repr=False)
    _segment: Segment | None = field(repr=False)

    @classmethod
    def of_bytes(cls, wal: str, position: Position, data: bytes) -> "TailRecord":
        record = decode_record(data)
        return cls(wal, position, record.header, record, None)

    @classmethod
    def of_segment(cls, wal: str, position: Position, header: RecordHeader, segment: Segment) -> "TailRecord":
        """A record of this process, whose columns are in memory anyway."""
        return cls(wal, position, header, None, segment)

    def decode(self) -> Segment:
        """Raises CorruptData."""
        if self._segment is not None:
            return self._segment
        assert self._encoded is not None
        return self._encoded.segment()


class _Log:
    """The records known of one log, in order."""

    def __init__(self) -> None:
        self.records: dict[Position, TailRecord] = {}
        self.cursor: Position | None = None  # everything up to here is known, or was trimmed

    def add(self, record: TailRecord) -> None:
        self.records[record.position] = record
        self.cursor = record.position

    def trim(self, position: Position) -> None:
        for old in [old for old in self.records if old <= position]:
            del self.records[old]
        if self.cursor is None or self.cursor < position:
            self.cursor = position


class Tail:
    """Caches records by position: they never change. Raises WalUnavailable, CorruptData.

    Its memory is bounded by what may stand in the logs, which each ingester bounds.
    """

    def __init__(self, logs: WriteAheadLogs) -> None:
        self._logs = logs
        self._known: dict[str, _Log] = {}
        self._decoded: SizedLru[tuple[str, Position], Segment] = SizedLru(_DECODED_BYTES)
        self._reading = asyncio.Lock()
        self._asked = 0
        self._answered = 0

    async def records(self, tenant: str, start_ns: int, end_ns: int) -> list[TailRecord]:
        """Every record acknowledged before the call which may hold the tenant's entries in `[start_ns, end_ns)`."""
        await self._refresh()
        return [
            record
            for log in self._known.values()
            for record in log.records.values()
            if record.header.tenant == tenant and record.header.min_ns < end_ns and start_ns <= record.header.max_ns
        ]

    async def segment(self, record: TailRecord) -> Segment:
        key = (record.wal, record.position)
        segment = self._decoded.get(key)
        if segment is None:
            segment = await asyncio.to_thread(record.decode)
            self._decoded.put(key, segment, record.header.text_bytes)
        return segment

    def add_own(self, records: Iterable[TailRecord]) -> None:
        """Records that this process has just appended, in order: they need not be read back."""
        for record in records:
            self._known.setdefault(record.wal, _Log()).add(record)

    def forget_own(self, wal: str, position: Position) -> None:
        """The records up to the position have been flushed: their memory need not wait for the next query."""
        log = self._known.get(wal)
        if log is not None:
            log.trim(position)

    async def _refresh(self) -> None:
        # Queries that wait while one refresh runs share the next one: it begins after all of them asked.
        self._asked += 1
        mine = self._asked
        async with self._reading:
            if self._answered < mine:
                answering = self._asked
                await self._read()
                self._answered = answering

    async def _read(self) -> None:
        states = await self._logs.states()
        self._forget(states)
        unread = [state.wal for state in states]
        while unread:
            cursors = [(wal, self._known.setdefault(wal, _Log()).cursor) for wal in unread]
            answers = await self._logs.read(cursors, _RECORDS_PER_READ)
            for wal, answer in zip(unread, answers, strict=True):
                for position, data in answer:
                    self._known[wal].add(TailRecord.of_bytes(wal, position, data))
            unread = [wal for wal, answer in zip(unread, answers, strict=True) if len(answer) == _RECORDS_PER_READ]

    def _forget(self, states: list[LogState]) -> None:
        # What a commit has trimmed is in an index object that a later listing will show.
        for wal in self._known.keys() - {state.wal for state in states}:
            del self._known[wal]
        for state in states:
            log = self._known.get(state.wal)
            if log is not None and state.trimmed is not None:
                log.trim(state.trimmed)
