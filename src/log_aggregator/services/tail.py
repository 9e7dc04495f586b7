"""The write-ahead logs as a query sees them: every acknowledged record that is still in Redis, on any replica."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from log_aggregator.formats.wal_record import RecordHeader, WalRecord, decode_record
from log_aggregator.model.columns import bytes_in_memory
from log_aggregator.model.labels import Labels
from log_aggregator.model.lru import SizedLru
from log_aggregator.model.position import Position
from log_aggregator.model.segment import ARRIVAL, STREAM, TIMESTAMP, Segment, merge_streams, renumber
from log_aggregator.services.chunk_rows import without_duplicates
from log_aggregator.wal.log import LogState, WriteAheadLogs

_RECORDS_PER_READ = 64  # of each log and round trip
_DEFAULT_RECORDS_BYTES = 128 << 20
_DEFAULT_BLOCKS_BYTES = 192 << 20
# Queries pay for each part of what they read, so small records are put together.
_BLOCK_RECORDS = 256
_BLOCK_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class TailRecord:
    """One record of a log: where it stands, what it holds."""

    wal: str
    position: Position
    header: RecordHeader
    _encoded: WalRecord | None = field(repr=False)
    _segment: Segment | None = field(repr=False)
    block: int = -1
    """Records of one tenant and log with the same number are decoded together (`Tail.block`)."""

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


@dataclass(frozen=True, slots=True)
class Block:
    """The entries of several records as one: sorted by stream, time and arrival, each exact duplicate once.

    `runs` are the numbers of the streams, and of their rows, in the order of the rows.
    """

    streams: tuple[Labels, ...]
    frame: pl.DataFrame = field(repr=False)
    runs: tuple[tuple[int, int], ...] = field(repr=False)


_Extent = tuple[Position, Position, int]
"""The first and the last record of a block, and how many there are."""


class _Log:
    """The records known of one log, in order. Until it `is_read` to its end, its next ones are those that follow."""

    def __init__(self, *, is_read: bool = False) -> None:
        self.is_read = is_read
        self.is_behind = False  # an answer that was on its way may lack what was appended since
        self.records: dict[Position, TailRecord] = {}
        self.blocks: dict[tuple[str, int], list[TailRecord]] = {}
        self.cursor: Position | None = None  # everything up to here is known, or was trimmed
        self.trimmed: Position | None = None
        self._open: dict[str, tuple[int, int, int]] = {}  # the newest block of a tenant: number, records, bytes

    def add(self, record: TailRecord) -> None:
        """Nothing if it is known, as a process may read what it has just appended, or has been trimmed since."""
        if record.position in self.records or (self.trimmed is not None and record.position <= self.trimmed):
            return
        tenant, size = record.header.tenant, record.header.text_bytes
        number, count, filled = self._open.get(tenant, (0, 0, 0))
        if count >= _BLOCK_RECORDS or filled + size > _BLOCK_BYTES:
            number, count, filled = number + 1, 0, 0
        self._open[tenant] = (number, count + 1, filled + size)
        record = replace(record, block=number)
        self.records[record.position] = record
        self.blocks.setdefault((tenant, number), []).append(record)
        self.cursor = max(self.cursor or record.position, record.position)

    def trim(self, position: Position) -> None:
        old = [record for at, record in self.records.items() if at <= position]
        for record in old:
            del self.records[record.position]
        for key in {(record.header.tenant, record.block) for record in old}:
            left = [record for record in self.blocks[key] if record.position > position]
            if left:
                self.blocks[key] = left
            else:
                del self.blocks[key]
        self.trimmed = max(self.trimmed or position, position)
        self.cursor = max(self.cursor or position, position)


class Tail:
    """Caches records by position: they never change. Raises WalUnavailable, CorruptData.

    Its memory is bounded by what may stand in the logs, which each ingester bounds.
    """

    def __init__(
        self,
        logs: WriteAheadLogs,
        records_bytes: int = _DEFAULT_RECORDS_BYTES,
        blocks_bytes: int = _DEFAULT_BLOCKS_BYTES,
    ) -> None:
        self._logs = logs
        self._known: dict[str, _Log] = {}
        self._decoded: SizedLru[tuple[str, Position], Segment] = SizedLru(records_bytes)
        self._merged: SizedLru[tuple[str, str, int], tuple[tuple[Position, Position, int], Block]] = SizedLru(
            blocks_bytes
        )
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

    def block_of(self, record: TailRecord) -> tuple[TailRecord, ...]:
        """All records of the record's block that are still in the log."""
        log = self._known.get(record.wal)
        return tuple(log.blocks.get((record.header.tenant, record.block), ())) if log else ()

    async def block(self, records: Sequence[TailRecord]) -> Block:
        """The entries of all records of one block."""
        first = records[0]
        key, state = (first.wal, first.header.tenant, first.block), (first.position, records[-1].position, len(records))
        known = self._merged.get(key)
        if known is not None and known[0] == state:
            return known[1]
        block = await asyncio.to_thread(_merged, records)
        self._merged.put(key, (state, block), bytes_in_memory(block.frame))
        return block

    def add_own(self, records: Iterable[TailRecord]) -> None:
        """Records that this process has just appended, in order: they need not be read back."""
        for record in records:
            log = self._known.setdefault(record.wal, _Log(is_read=True))
            if log.is_read:
                log.add(record)
            else:
                log.is_behind = True

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
        cursors = [(wal, log.cursor) for wal, log in self._known.items()]
        trimmed = {wal: log.trimmed for wal, log in self._known.items()}
        states, answers = await self._logs.news(cursors, _RECORDS_PER_READ)
        self._forget(trimmed, states)  # first: what has been read was not trimmed then
        unread = self._add(cursors, answers) + [state.wal for state in states if state.wal not in self._known]
        while unread:
            cursors = [(wal, self._known.setdefault(wal, _Log()).cursor) for wal in unread]
            unread = self._add(cursors, await self._logs.read(cursors, _RECORDS_PER_READ))

    def _add(
        self, cursors: Sequence[tuple[str, Position | None]], answers: Sequence[Sequence[tuple[Position, bytes]]]
    ) -> list[str]:
        """The logs that may have more."""
        unread = []
        for (wal, _), answer in zip(cursors, answers, strict=True):
            log = self._known.get(wal)
            if log is None:
                continue
            for position, data in answer:
                log.add(TailRecord.of_bytes(wal, position, data))
            if len(answer) == _RECORDS_PER_READ:
                unread.append(wal)
            else:
                log.is_read = log.is_read or not log.is_behind
                log.is_behind = False
        return unread

    def _forget(self, trimmed: Mapping[str, Position | None], states: Sequence[LogState]) -> None:
        """`trimmed` is what was known of the logs before Redis was asked for their states."""
        # What a commit has trimmed is in an index object that a later listing will show. A log that this process has
        # opened since Redis answered is not among the states.
        for wal in trimmed.keys() - {state.wal for state in states}:
            del self._known[wal]
        for state in states:
            log, before = self._known.get(state.wal), trimmed.get(state.wal)
            if before is not None and (state.trimmed is None or state.trimmed < before):
                # Redis came back older. Its lists may not have what the commit that it lost had added, but it has the
                # records again.
                del self._known[state.wal]
            elif log is not None and state.trimmed is not None:
                log.trim(state.trimmed)


def _merged(records: Sequence[TailRecord]) -> Block:
    segments = [record.decode() for record in records]
    streams, renumbered = merge_streams([segment.streams for segment in segments])
    frames = [
        renumber(segment.frame, numbers).with_columns(pl.lit(record.position.arrival, pl.Int64).alias(ARRIVAL))
        for record, segment, numbers in zip(records, segments, renumbered, strict=True)
    ]
    frame = without_duplicates(pl.concat(frames).sort(STREAM, TIMESTAMP, ARRIVAL, maintain_order=True))
    runs = frame[STREAM].rle().struct.unnest()
    return Block(streams, frame, tuple(runs.select("value", "len").iter_rows()))
