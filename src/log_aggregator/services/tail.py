"""The write-ahead logs as a query sees them: every acknowledged record that is still in Redis, on any replica."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from log_aggregator.engine.batch import Form
from log_aggregator.engine.field_columns import choose_fields, field_columns
from log_aggregator.engine.shapes import Shape
from log_aggregator.formats.chunk import FIELD_PREFIX, SHAPE
from log_aggregator.formats.wal_record import Columns, RecordHeader, decode_record, joined_columns, segment_of
from log_aggregator.model.columns import bytes_in_memory
from log_aggregator.model.labels import Labels
from log_aggregator.model.lru import SizedLru
from log_aggregator.model.position import Position
from log_aggregator.model.segment import ARRIVAL, LINE, METADATA, STREAM, TIMESTAMP, Segment
from log_aggregator.services.chunk_rows import without_duplicates
from log_aggregator.services.forms import formed
from log_aggregator.services.record_memory import memory_bytes
from log_aggregator.wal.log import LogState, WriteAheadLogs

_RECORDS_PER_READ = 64  # of each log and round trip
_DEFAULT_RECORDS_BYTES = 128 << 20
_DEFAULT_BLOCKS_BYTES = 512 << 20
# Queries pay for each part of what they read, so small records are put together.
_BLOCK_RECORDS = 256
_BLOCK_BYTES = 16 << 20
# What a block takes with columns of fields.
_TIMES_TEXT = 2


@dataclass(frozen=True, slots=True)
class TailRecord:
    """One record of a log: where it stands, what it holds."""

    wal: str
    position: Position
    header: RecordHeader
    columns: Columns = field(repr=False)
    block: int = -1
    """Records of one tenant and log with the same number are decoded together (`Tail.block`)."""

    @classmethod
    def of_bytes(cls, wal: str, position: Position, data: bytes) -> "TailRecord":
        record = decode_record(data)
        return cls(wal, position, record.header, record)

    def decode(self) -> Segment:
        """Raises CorruptData."""
        return segment_of(self.columns)


@dataclass(frozen=True, slots=True)
class Block:
    """The entries of several records as one: sorted by stream, time and arrival, each exact duplicate once.

    `runs` are the numbers of the streams, and of their rows, in the order of the rows.
    """

    streams: tuple[Labels, ...]
    frame: pl.DataFrame = field(repr=False)
    runs: tuple[tuple[int, int], ...] = field(repr=False)
    shapes: tuple[Shape, ...] | None = field(default=None, repr=False)
    """What the `shape` column of the frame numbers: nothing if its lines have no fields. None: nobody has looked."""
    formed: Mapping[tuple[str, Form], pl.Series] = field(default_factory=dict, repr=False)
    """Columns of the frame in forms that are not simply theirs."""

    @property
    def size_bytes(self) -> int:
        return bytes_in_memory(self.frame) + sum(map(bytes_in_memory, self.formed.values()))

    def columns(self, names: Iterable[str], forms: Mapping[str, Form]) -> pl.DataFrame:
        """These columns of the frame, in the forms asked for where their values allow it."""
        return pl.DataFrame([self._column(name, forms.get(name)) for name in names])

    def _column(self, name: str, form: Form | None) -> pl.Series:
        if form is not None and (column := self.formed.get((name, form))) is not None:
            return column
        column = self.frame[name]
        return column.cast(pl.String) if form is None and isinstance(column.dtype, pl.Enum) else column


_Extent = tuple[Position, Position, int]
"""The first and the last record of a block, and how many there are."""
_BlockKey = tuple[str, str, int]
"""Log, tenant, and number."""
_Making = tuple[_BlockKey, _Extent, bool]
"""A block, and whether with fields."""


class _Log:
    """The records known of one log, in order. Until it `is_read` to its end, its next ones are those that follow."""

    def __init__(self, *, is_read: bool = False) -> None:
        self.is_read = is_read
        self.is_behind = False  # an answer that was on its way may lack what was appended since
        self.records: dict[Position, TailRecord] = {}
        self.blocks: dict[tuple[str, int], list[TailRecord]] = {}
        self.cursor: Position | None = None  # everything up to here is known, or was trimmed
        self.trimmed: Position | None = None
        self.text_bytes = 0
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
        self.text_bytes += size
        self.blocks.setdefault((tenant, number), []).append(record)
        self.cursor = max(self.cursor or record.position, record.position)

    def is_full(self, record: TailRecord) -> bool:
        number, _, _ = self._open.get(record.header.tenant, (record.block, 0, 0))
        return record.block < number

    def trim(self, position: Position) -> list[TailRecord]:
        """The records up to the position, which it has no more."""
        if self.trimmed is not None and position <= self.trimmed:
            return []  # as each query hears once more
        old = [record for at, record in self.records.items() if at <= position]
        for record in old:
            del self.records[record.position]
            self.text_bytes -= record.header.text_bytes
        for key in {(record.header.tenant, record.block) for record in old}:
            left = [record for record in self.blocks[key] if record.position > position]
            if left:
                self.blocks[key] = left
            else:
                del self.blocks[key]
        self.trimmed = max(self.trimmed or position, position)
        self.cursor = max(self.cursor or position, position)
        return old


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
        self._merged: SizedLru[_BlockKey, tuple[_Extent, Block]] = SizedLru(blocks_bytes)
        self._making: dict[_Making, asyncio.Task[Block]] = {}
        self._reading = asyncio.Lock()
        self._asked = 0
        self._answered = 0
        self._lists_are_older = False  # until they are forgotten, which may fail; the logs tell it only once

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
            self._decoded.put(key, segment, memory_bytes(segment, record.header.text_bytes))
        return segment

    def block_of(self, record: TailRecord) -> tuple[TailRecord, ...]:
        """All records of the record's block that are still in the log."""
        log = self._known.get(record.wal)
        return tuple(log.blocks.get((record.header.tenant, record.block), ())) if log else ()

    def is_worth_fields(self, records: Sequence[TailRecord]) -> bool:
        """Whether columns of fields of the block will be of use: no more records join it, and it has been put together.

        And there is room for those of all blocks. Else they would be made for one query, in twice the time that it
        takes without.
        """
        log = self._known.get(records[0].wal)
        if log is None or not log.is_full(records[0]):
            return False
        if _TIMES_TEXT * sum(log.text_bytes for log in self._known.values()) > self._merged.capacity_bytes:
            return False
        return self._kept(*_identity(records)) is not None

    async def block(self, records: Sequence[TailRecord], *, with_fields: bool = False) -> Block:
        """The entries of all records of one block, with columns of fields as a chunk has them if that is asked for."""
        key, extent = _identity(records)
        making = key, extent, with_fields
        task = self._making.get(making)
        if task is None:
            block = self._kept(key, extent)
            if block is not None and (block.shapes is not None or not with_fields):
                return block
            task = asyncio.create_task(self._make(making, records, block))
            self._making[making] = task
            task.add_done_callback(lambda done: self._made(making, done))
        return await asyncio.shield(task)  # others may wait for it too

    def _kept(self, key: _BlockKey, extent: _Extent) -> Block | None:
        known = self._merged.get(key)
        return known[1] if known is not None and known[0] == extent else None

    async def _make(self, making: _Making, records: Sequence[TailRecord], block: Block | None) -> Block:
        key, extent, with_fields = making
        if block is None:
            block = await asyncio.to_thread(_merged, records)
        if with_fields:
            block = await asyncio.to_thread(_with_fields, block)
        if self.block_of(records[0]) == tuple(records):  # else it has been flushed meanwhile, or grew
            self._merged.put(key, (extent, block), block.size_bytes)
        return block

    def _made(self, making: _Making, done: "asyncio.Task[Block]") -> None:
        del self._making[making]
        if not done.cancelled():
            done.exception()  # seen, also when nobody waits any more

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
            self._discard(log.trim(position))

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
        # First: what has been read was not trimmed then.
        self._lists_are_older |= self._forget(trimmed, states)
        if self._lists_are_older:
            await self._logs.forget_lists()
            self._lists_are_older = False
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

    def _forget(self, trimmed: Mapping[str, Position | None], states: Sequence[LogState]) -> bool:
        """Whether Redis came back older. `trimmed` is what was known of the logs before it was asked for states."""
        is_older = False
        # What a commit has trimmed is in an index object that a later listing will show. A log that this process has
        # opened since Redis answered is not among the states.
        for wal in trimmed.keys() - {state.wal for state in states}:
            self._discard(self._known.pop(wal).records.values())
        for state in states:
            log, before = self._known.get(state.wal), trimmed.get(state.wal)
            if before is not None and (state.trimmed is None or state.trimmed < before):
                # Redis came back older. Its lists may not have what the commit that it lost had added, but it has the
                # records again.
                is_older = True
                self._discard(self._known.pop(state.wal).records.values())
            elif log is not None and state.trimmed is not None:
                self._discard(log.trim(state.trimmed))
        return is_older

    def _discard(self, records: Iterable[TailRecord]) -> None:
        """What was made of them takes no room any more."""
        for record in records:
            self._decoded.discard((record.wal, record.position))
            self._merged.discard((record.wal, record.header.tenant, record.block))


def _identity(records: Sequence[TailRecord]) -> tuple[_BlockKey, _Extent]:
    first = records[0]
    return (first.wal, first.header.tenant, first.block), (first.position, records[-1].position, len(records))


def _merged(records: Sequence[TailRecord]) -> Block:
    whole = joined_columns([record.columns for record in records], [record.position.arrival for record in records])
    frame = without_duplicates(whole.frame.sort(STREAM, TIMESTAMP, ARRIVAL, maintain_order=True))
    runs = frame[STREAM].rle().struct.unnest()
    return Block(whole.streams, frame, tuple(runs.select("value", "len").iter_rows()))


def _with_fields(block: Block) -> Block:
    """With columns of fields, if its lines have any."""
    lines = block.frame[LINE]
    choice = choose_fields(lines)
    fields = field_columns(lines, choice)
    columns = [] if fields is None else [fields.shape.alias(SHAPE)]
    forms: dict[tuple[str, Form], pl.Series] = {}
    for name, values in () if fields is None else fields.values.items():
        column = formed(values, "codes or numbers").alias(FIELD_PREFIX + name)
        if column.dtype == pl.Float64:  # which does not tell its text
            forms[column.name, "codes or numbers"] = column
            column = values.alias(column.name)
        columns.append(column)
    metadata = formed(block.frame[METADATA], "codes")
    if isinstance(metadata.dtype, pl.Enum):
        forms[METADATA, "codes"] = metadata
    shapes = () if fields is None else choice.shapes
    return replace(block, frame=block.frame.with_columns(columns), shapes=shapes, formed=forms)
