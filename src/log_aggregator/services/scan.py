"""Reading entries of a time range: from write-ahead logs and chunks, each entry from exactly one of them.

The write-ahead logs are read before the list of index objects, and a record that a listed index object covers is left
out: a flush between the two can neither hide an entry nor show it twice.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field

import polars as pl

from log_aggregator.engine.batch import Batch
from log_aggregator.engine.order import Direction, in_order
from log_aggregator.formats.chunk import MAX, MIN, ROW_GROUP, ROW_OFFSET, ROWS, check_column
from log_aggregator.formats.index import CHUNK, Index
from log_aggregator.formats.keys import IndexKey, period_start
from log_aggregator.formats.parquet import ByteSpan, ParquetFooter
from log_aggregator.model.labels import Labels
from log_aggregator.model.segment import ARRIVAL, BATCH_SCHEMA, LINE, METADATA, STREAM, TIMESTAMP
from log_aggregator.services.catalog import IndexCatalog
from log_aggregator.services.tail import Tail, TailRecord
from log_aggregator.storage.store import ByteRange, ObjectStore

_CHUNK_COLUMNS = (TIMESTAMP, ARRIVAL, LINE, METADATA)
# Two ranges this close are fetched as one: a request costs more than the bytes between.
_COALESCE_BYTES = 256 << 10
_CONCURRENT_UNITS = 4


@dataclass(frozen=True, slots=True)
class Scan:
    """What to read. `accepts` chooses streams, `predicate` rows by the columns of a batch."""

    tenant: str
    start_ns: int
    end_ns: int  # exclusive
    accepts: Callable[[Labels], bool]
    predicate: pl.Expr | None = None


@dataclass(slots=True)
class ScanStatistics:
    """What a scan has read: true figures for the answer's `stats`."""

    chunk_refs: int = 0
    chunks_downloaded: int = 0
    store_bytes: int = 0
    tail_records: int = 0
    lines: int = 0
    text_bytes: int = 0
    kept_lines: int = 0


@dataclass(frozen=True, slots=True)
class _TailUnit:
    record: TailRecord
    covered: tuple[int, ...]  # starts of the periods whose rows an index object has
    min_ns: int
    max_ns: int


@dataclass(frozen=True, slots=True)
class _ChunkUnit:
    index: Index
    chunk: int
    row_group: int
    streams: pl.Series  # those accepted, as the index numbers them
    min_ns: int
    max_ns: int


_Unit = _TailUnit | _ChunkUnit


@dataclass(frozen=True, slots=True)
class View:
    """The records and index objects that together hold each entry once.

    A record stands with the starts of the periods whose rows an index object has.
    """

    records: tuple[tuple[TailRecord, tuple[int, ...]], ...] = field(repr=False)
    indexes: tuple[IndexKey, ...] = field(repr=False)


class Scanner:
    """Raises the store's errors, WalUnavailable, CorruptData."""

    def __init__(self, store: ObjectStore, catalog: IndexCatalog, tail: Tail, period_ns: int) -> None:
        self._store = store
        self._catalog = catalog
        self._tail = tail
        self._period_ns = period_ns

    async def ordered(self, scan: Scan, direction: Direction, statistics: ScanStatistics) -> AsyncIterator[Batch]:
        """Batches in the order of time, each sorted, duplicates left out: stop iterating to stop reading."""
        units = await self._units(scan, statistics)
        units.sort(key=lambda unit: -unit.max_ns if direction == "backward" else unit.min_ns)
        streams: dict[Labels, int] = {}
        pool = pl.DataFrame(schema=BATCH_SCHEMA)
        for begin in range(0, len(units), _CONCURRENT_UNITS):
            wave, following = units[begin : begin + _CONCURRENT_UNITS], units[begin + _CONCURRENT_UNITS :]
            read = await self._read_all(wave, scan, statistics)
            pool = pl.concat([pool, *(_renumbered(batch, streams) for batch in read)])
            final, pool = _split(pool, following, direction)
            if final.height:
                yield Batch(tuple(streams), in_order(final, direction))

    async def view(self, tenant: str, start_ns: int, end_ns: int) -> View:
        """All that may hold entries of `[start_ns, end_ns)`."""
        records = await self._tail.records(tenant, start_ns, end_ns)
        keys = await self._catalog.keys(tenant, start_ns, end_ns)
        wanted = tuple(key for key in keys if key.overlaps(start_ns, end_ns))
        return View(tuple(self._uncovered(records, keys)), wanted)

    def _uncovered(
        self, records: Sequence[TailRecord], keys: Sequence[IndexKey]
    ) -> Iterator[tuple[TailRecord, tuple[int, ...]]]:
        """Each record that has rows no index object covers, with the periods that one does cover."""
        by_wal: dict[str, list[IndexKey]] = {}
        for key in keys:
            by_wal.setdefault(key.coverage.wal, []).append(key)
        for record in records:
            covering = [key for key in by_wal.get(record.wal, ()) if key.coverage.holds(record.position)]
            covered = {key.period_start_ns for key in covering}
            first, last = (period_start(t, self._period_ns) for t in (record.header.min_ns, record.header.max_ns))
            if not all(period in covered for period in range(first, last + 1, self._period_ns)):
                yield record, tuple(covered)

    async def _units(self, scan: Scan, statistics: ScanStatistics) -> list[_Unit]:
        view = await self.view(scan.tenant, scan.start_ns, scan.end_ns)
        tail: list[_Unit] = [
            _TailUnit(record, covered, record.header.min_ns, record.header.max_ns) for record, covered in view.records
        ]
        indexes = await self._catalog.load(view.indexes)
        chunks = await asyncio.to_thread(lambda: [unit for index in indexes for unit in _units_of(index, scan)])
        statistics.tail_records += len(tail)
        statistics.chunk_refs += sum(unit.streams.len() for unit in chunks)
        return [*tail, *chunks]

    async def _read_all(self, units: Sequence[_Unit], scan: Scan, statistics: ScanStatistics) -> list[Batch]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._read(unit, scan, statistics)) for unit in units]
        return [task.result() for task in tasks]

    async def _read(self, unit: _Unit, scan: Scan, statistics: ScanStatistics) -> Batch:
        if isinstance(unit, _TailUnit):
            segment = await self._tail.segment(unit.record)
            rows = segment.frame.with_columns(pl.lit(unit.record.position.arrival, pl.Int64).alias(ARRIVAL))
            for period in unit.covered:
                rows = rows.filter(~pl.col(TIMESTAMP).is_between(period, period + self._period_ns, closed="left"))
            streams, chosen = segment.streams, _accepted(segment.streams, scan)
        else:
            rows = await self._read_row_group(unit, statistics)
            streams, chosen = unit.index.streams, unit.streams
        batch, lines, text_bytes = await asyncio.to_thread(_select, streams, rows, chosen, scan)
        statistics.lines += lines
        statistics.text_bytes += text_bytes
        statistics.kept_lines += batch.rows
        return batch

    async def _read_row_group(self, unit: _ChunkUnit, statistics: ScanStatistics) -> pl.DataFrame:
        entry = unit.index.chunks[unit.chunk]
        footer = self._catalog.footer(unit.index, unit.chunk)
        spans = footer.row_groups[unit.row_group].spans
        ranges = coalesce([spans[column] for column in _CHUNK_COLUMNS])
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._store.get(entry.key, ByteRange(*span))) for span in ranges]
        fetched = {span: task.result() for span, task in zip(ranges, tasks, strict=True)}
        statistics.chunks_downloaded += 1
        statistics.store_bytes += sum(map(len, fetched.values()))
        return await asyncio.to_thread(_decode_row_group, unit, footer, fetched)


def coalesce(spans: Sequence[ByteSpan]) -> list[ByteSpan]:
    """The fewest ranges that hold all the spans, where small gaps are read along."""
    merged: list[ByteSpan] = []
    for span in sorted(spans):
        if merged and span.start - merged[-1].end <= _COALESCE_BYTES:
            merged[-1] = ByteSpan(merged[-1].start, max(merged[-1].end, span.end))
        else:
            merged.append(span)
    return merged


def _decode_row_group(unit: _ChunkUnit, footer: ParquetFooter, fetched: dict[ByteSpan, bytes]) -> pl.DataFrame:
    """The row group's columns, with the stream of each row."""
    entry = unit.index.chunks[unit.chunk]
    spans = footer.row_groups[unit.row_group].spans
    pieces = {}
    for column in _CHUNK_COLUMNS:
        span = spans[column]
        around = next(held for held in fetched if held.start <= span.start and span.end <= held.end)
        pieces[column] = fetched[around][span.start - around.start : span.end - around.start]
        check_column(entry.key, column, pieces[column], entry.checksums[column][unit.row_group])
    rows = pl.read_parquet(footer.assemble(_CHUNK_COLUMNS, [(unit.row_group, pieces)]))
    refs = unit.index.refs.filter((pl.col(CHUNK) == unit.chunk) & (pl.col(ROW_GROUP) == unit.row_group))
    numbers = refs.sort(ROW_OFFSET).select(pl.col(STREAM).repeat_by(ROWS).explode()).to_series()
    return rows.select(numbers.alias(STREAM), pl.all()).select(BATCH_SCHEMA.names())


def _accepted(streams: Sequence[Labels], scan: Scan) -> pl.Series:
    chosen = [number for number, labels in enumerate(streams) if scan.accepts(labels)]
    return pl.Series(STREAM, chosen, dtype=pl.UInt32)


def _units_of(index: Index, scan: Scan) -> Iterator[_ChunkUnit]:
    """The row groups that hold accepted streams in the range."""
    refs = _refs_between(index, scan)
    refs = refs.filter(pl.col(STREAM).is_in(_accepted(index.streams, scan).implode()))
    groups = refs.group_by(CHUNK, ROW_GROUP).agg(pl.col(STREAM), pl.col(MIN).min(), pl.col(MAX).max())
    for chunk, row_group, streams, low, high in groups.iter_rows():
        yield _ChunkUnit(index, chunk, row_group, pl.Series(STREAM, streams, dtype=pl.UInt32), low, high)


def _refs_between(index: Index, scan: Scan) -> pl.DataFrame:
    return index.refs.filter((pl.col(MIN) < scan.end_ns) & (pl.col(MAX) >= scan.start_ns))


def _select(streams: tuple[Labels, ...], rows: pl.DataFrame, chosen: pl.Series, scan: Scan) -> tuple[Batch, int, int]:
    """The rows that the scan wants, and how many lines and bytes of text were looked at for them."""
    in_range = rows.filter(
        pl.col(TIMESTAMP).is_between(scan.start_ns, scan.end_ns, closed="left") & pl.col(STREAM).is_in(chosen.implode())
    )
    text_bytes = int(in_range.select(pl.col(LINE).str.len_bytes().sum()).item())
    kept = in_range if scan.predicate is None else in_range.filter(scan.predicate)
    return Batch(streams, kept.select(BATCH_SCHEMA.names())), in_range.height, text_bytes


def _renumbered(batch: Batch, streams: dict[Labels, int]) -> pl.DataFrame:
    """The rows with their streams numbered in the table of the whole scan, which grows as needed."""
    present = batch.frame[STREAM].unique()
    numbers = [streams.setdefault(batch.streams[number], len(streams)) for number in present]
    renumbered = pl.Series(STREAM, numbers, dtype=pl.UInt32)
    return batch.frame.with_columns(pl.col(STREAM).replace_strict(present, renumbered, return_dtype=pl.UInt32))


def _split(pool: pl.DataFrame, following: Sequence[_Unit], direction: Direction) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows that nothing still unread can precede (in the given direction), and the others."""
    if not following:
        return pool, pool.clear()
    if direction == "backward":
        final = pl.col(TIMESTAMP) > following[0].max_ns
    else:
        final = pl.col(TIMESTAMP) < following[0].min_ns
    return pool.filter(final), pool.filter(~final)
