"""Reading entries of a time range: from write-ahead logs and chunks, each entry from exactly one of them.

The write-ahead logs are read before the list of index objects, and a record that a listed index object covers is left
out: a flush between the two can neither hide an entry nor show it twice.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

import polars as pl

from log_aggregator.engine.batch import Batch
from log_aggregator.engine.order import Direction, in_order
from log_aggregator.engine.shapes import Shape
from log_aggregator.formats.chunk import LINE_BYTES, MAX, MIN, ROW_GROUP, ROW_OFFSET, ROWS
from log_aggregator.formats.index import CHUNK, Index
from log_aggregator.formats.keys import IndexKey, period_start
from log_aggregator.model.labels import Labels
from log_aggregator.model.position import Coverage
from log_aggregator.model.segment import ARRIVAL, BATCH_SCHEMA, LINE, METADATA, STREAM, TIMESTAMP
from log_aggregator.services.catalog import IndexCatalog
from log_aggregator.services.row_groups import RowGroups
from log_aggregator.services.statistics import ScanStatistics
from log_aggregator.services.tail import Tail, TailRecord

_CONCURRENT_UNITS = 4
# Up to this many runs of wanted rows are cut out of a row group one by one; more are found by a mask.
_MAX_SLICES = 64
_TAIL_COLUMNS = frozenset({STREAM, TIMESTAMP, ARRIVAL, LINE, METADATA, LINE_BYTES})


@dataclass(frozen=True, slots=True)
class Scan:
    """What to read. `accepts` chooses streams, `predicate` rows by the columns of a batch."""

    tenant: str
    start_ns: int
    end_ns: int  # exclusive
    accepts: Callable[[Labels], bool]
    predicate: pl.Expr | None = None


@dataclass(frozen=True, slots=True)
class TailUnit:
    """The rows of one record of a write-ahead log, but for the periods whose rows an index object has."""

    record: TailRecord
    covered: tuple[int, ...]
    min_ns: int
    max_ns: int

    @property
    def columns(self) -> frozenset[str]:
        return _TAIL_COLUMNS

    @property
    def shapes(self) -> tuple[Shape, ...] | None:
        return None


@dataclass(frozen=True, slots=True)
class ChunkUnit:
    """The rows of accepted streams in one row group. `refs` has them in the order of the rows."""

    index: Index = field(repr=False)
    chunk: int
    row_group: int
    refs: pl.DataFrame = field(repr=False)
    columns: frozenset[str] = field(repr=False)
    shapes: tuple[Shape, ...] | None = field(repr=False)
    min_ns: int
    max_ns: int


Unit = TailUnit | ChunkUnit
"""A part of a scan that is read at once. Every entry is in one unit, but exact duplicates may be in several."""


@dataclass(frozen=True, slots=True)
class View:
    """The records and index objects that together hold each entry once.

    A record stands with the starts of the periods whose rows an index object has.
    """

    records: tuple[tuple[TailRecord, tuple[int, ...]], ...] = field(repr=False)
    indexes: tuple[IndexKey, ...] = field(repr=False)


class Scanner:
    """Raises the store's errors, WalUnavailable, CorruptData."""

    def __init__(self, row_groups: RowGroups, catalog: IndexCatalog, tail: Tail, period_ns: int) -> None:
        self._row_groups = row_groups
        self._catalog = catalog
        self._tail = tail
        self._period_ns = period_ns

    async def ordered(self, scan: Scan, direction: Direction, statistics: ScanStatistics) -> AsyncIterator[Batch]:
        """Batches in the order of time, each sorted, duplicates left out: stop iterating to stop reading."""
        units = await self.units(scan, statistics)
        units.sort(key=lambda unit: -unit.max_ns if direction == "backward" else unit.min_ns)
        streams: dict[Labels, int] = {}
        pool = pl.DataFrame(schema=BATCH_SCHEMA)
        for begin in range(0, len(units), _CONCURRENT_UNITS):
            wave, following = units[begin : begin + _CONCURRENT_UNITS], units[begin + _CONCURRENT_UNITS :]
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._read(unit, scan, statistics)) for unit in wave]
            pool = pl.concat([pool, *(_renumbered(task.result(), streams) for task in tasks)])
            final, pool = _split(pool, following, direction)
            if final.height:
                yield Batch(tuple(streams), in_order(final, direction))

    async def units(self, scan: Scan, statistics: ScanStatistics) -> list[Unit]:
        """All that may hold entries of the scan."""
        view = await self.view(scan.tenant, scan.start_ns, scan.end_ns)
        tail: list[Unit] = [
            TailUnit(record, covered, record.header.min_ns, record.header.max_ns) for record, covered in view.records
        ]
        indexes = await self._catalog.load(view.indexes)
        chunks = await asyncio.to_thread(lambda: [unit for index in indexes for unit in self.units_of(index, scan)])
        statistics.tail_records += len(tail)
        statistics.chunk_refs += sum(unit.refs.height for unit in chunks)
        return [*tail, *chunks]

    async def streams_of(self, unit: Unit) -> Sequence[Labels]:
        """The streams that the unit's rows may belong to."""
        if isinstance(unit, TailUnit):
            return (await self._tail.segment(unit.record)).streams
        return [unit.index.streams[number] for number in unit.refs[STREAM].unique()]

    async def load(self, unit: Unit, scan: Scan, columns: Collection[str], statistics: ScanStatistics) -> Batch:
        """These columns, which the unit has, of the rows of accepted streams in the range.

        The scan's predicate is not applied. Rows of a chunk stand in the order of stream and time.
        """
        if isinstance(unit, TailUnit):
            segment = await self._tail.segment(unit.record)
            return await asyncio.to_thread(
                _of_record, unit, segment.streams, segment.frame, scan, columns, self._period_ns
            )
        # The times are needed to cut the range out, unless all of the unit lies in it.
        needed = set(columns) - {STREAM}
        if not _inside(unit, scan):
            needed.add(TIMESTAMP)
        found = await self._row_groups.columns(unit.index, unit.chunk, unit.row_group, needed, statistics)
        return await asyncio.to_thread(_of_row_group, unit, pl.DataFrame(found), scan, columns)

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
        by_wal: dict[str, list[tuple[Coverage, int]]] = {}
        for key in keys:
            for coverage in key.coverages:
                by_wal.setdefault(coverage.wal, []).append((coverage, key.period_start_ns))
        for record in records:
            held = by_wal.get(record.wal, ())
            covered = {period for coverage, period in held if coverage.holds(record.position)}
            first, last = (period_start(t, self._period_ns) for t in (record.header.min_ns, record.header.max_ns))
            if not all(period in covered for period in range(first, last + 1, self._period_ns)):
                yield record, tuple(covered)

    def units_of(self, index: Index, scan: Scan) -> Iterator[ChunkUnit]:
        """The row groups that hold accepted streams in the range."""
        accepted = pl.Series(STREAM, [n for n, labels in enumerate(index.streams) if scan.accepts(labels)], pl.UInt32)
        refs = index.refs.filter(
            (pl.col(MIN) < scan.end_ns) & (pl.col(MAX) >= scan.start_ns) & pl.col(STREAM).is_in(accepted.implode())
        )
        if refs.is_empty():
            return
        groups = refs.sort(CHUNK, ROW_GROUP, ROW_OFFSET).partition_by(CHUNK, ROW_GROUP, as_dict=True)
        for (chunk, row_group), own in groups.items():
            assert isinstance(chunk, int)
            assert isinstance(row_group, int)
            low, high = own.select(low=pl.col(MIN).min(), high=pl.col(MAX).max()).row(0)
            columns = self._row_groups.column_names(index, chunk) | {STREAM}
            yield ChunkUnit(index, chunk, row_group, own, columns, _shapes(index, chunk), low, high)

    async def _read(self, unit: Unit, scan: Scan, statistics: ScanStatistics) -> Batch:
        """The rows that the scan wants, with all the columns of a batch."""
        batch = await self.load(unit, scan, BATCH_SCHEMA.names(), statistics)
        kept = batch.frame if scan.predicate is None else await asyncio.to_thread(batch.frame.filter, scan.predicate)
        count_rows(batch.frame, kept.height, statistics)
        return Batch(batch.streams, kept)


def count_rows(frame: pl.DataFrame, kept: int, statistics: ScanStatistics) -> None:
    """Adds the rows that were looked at, and how many passed the filters."""
    column = LINE_BYTES if LINE_BYTES in frame.columns else None
    sizes = pl.col(column) if column else pl.col(LINE).str.len_bytes()
    statistics.lines += frame.height
    statistics.text_bytes += int(frame.select(sizes.sum()).item() or 0) if column or LINE in frame.columns else 0
    statistics.kept_lines += kept


def _shapes(index: Index, chunk: int) -> tuple[Shape, ...] | None:
    stored = index.chunks[chunk].shapes
    return tuple(Shape(one.parser, one.names, one.pattern, one.prefix) for one in stored) if stored else None


def _inside(unit: Unit, scan: Scan) -> bool:
    return scan.start_ns <= unit.min_ns and unit.max_ns < scan.end_ns


def _of_record(
    unit: TailUnit,
    streams: tuple[Labels, ...],
    rows: pl.DataFrame,
    scan: Scan,
    columns: Collection[str],
    period_ns: int,
) -> Batch:
    chosen = pl.Series(STREAM, [n for n, labels in enumerate(streams) if scan.accepts(labels)], dtype=pl.UInt32)
    if len(chosen) < len(streams):
        rows = rows.filter(pl.col(STREAM).is_in(chosen.implode()))
    if not _inside(unit, scan):
        rows = rows.filter(pl.col(TIMESTAMP).is_between(scan.start_ns, scan.end_ns, closed="left"))
    for period in unit.covered:
        rows = rows.filter(~pl.col(TIMESTAMP).is_between(period, period + period_ns, closed="left"))
    made = {
        ARRIVAL: pl.lit(unit.record.position.arrival, pl.Int64).alias(ARRIVAL),
        LINE_BYTES: pl.col(LINE).str.len_bytes().alias(LINE_BYTES),
    }
    return Batch(streams, rows.select(made.get(name, pl.col(name)) for name in columns))


def _of_row_group(unit: ChunkUnit, rows: pl.DataFrame, scan: Scan, columns: Collection[str]) -> Batch:
    runs = unit.refs.select(STREAM, ROW_OFFSET, ROWS)
    inside = _inside(unit, scan)
    if runs.height <= _MAX_SLICES and not inside:
        runs = _cut(unit.refs, rows[TIMESTAMP], scan)
    kept = _rows_of(runs, rows)
    if STREAM in columns:
        numbers = runs.select(pl.col(STREAM).repeat_by(ROWS).explode())[STREAM]
        kept = kept.with_columns(numbers.cast(pl.UInt32)) if kept.width else numbers.cast(pl.UInt32).to_frame()
    if unit.refs.height > _MAX_SLICES and not inside:
        kept = kept.filter(pl.col(TIMESTAMP).is_between(scan.start_ns, scan.end_ns, closed="left"))
    return Batch(unit.index.streams, kept.select(columns), unit.shapes, is_sorted=True)


def _cut(refs: pl.DataFrame, times: pl.Series, scan: Scan) -> pl.DataFrame:
    """Each ref's rows in the range: within a ref they are sorted by time."""
    runs = []
    for stream, offset, count, low, high in refs.select(STREAM, ROW_OFFSET, ROWS, MIN, MAX).iter_rows():
        first, last = 0, count
        own = times.slice(offset, count)
        if low < scan.start_ns:
            first = int(own.search_sorted(scan.start_ns, "left"))
        if high >= scan.end_ns:
            last = int(own.search_sorted(scan.end_ns, "left"))
        if first < last:
            runs.append((stream, offset + first, last - first))
    schema = pl.Schema({STREAM: pl.UInt32, ROW_OFFSET: pl.UInt32, ROWS: pl.UInt32})
    return pl.DataFrame(runs, schema, orient="row")


def _rows_of(runs: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of all the runs, in order. Runs that follow on each other are cut out as one."""
    if not rows.width:
        return rows
    pieces: list[tuple[int, int]] = []
    for offset, count in runs.select(ROW_OFFSET, ROWS).iter_rows():
        if pieces and pieces[-1][0] + pieces[-1][1] == offset:
            pieces[-1] = (pieces[-1][0], pieces[-1][1] + count)
        else:
            pieces.append((offset, count))
    if not pieces:
        return rows.clear()
    if len(pieces) <= _MAX_SLICES:
        return pl.concat([rows.slice(offset, count) for offset, count in pieces])
    numbers = runs.select(pl.int_ranges(ROW_OFFSET, pl.col(ROW_OFFSET) + pl.col(ROWS)).explode()).to_series()
    return rows[numbers]


def _renumbered(batch: Batch, streams: dict[Labels, int]) -> pl.DataFrame:
    """The rows with their streams numbered in the table of the whole scan, which grows as needed."""
    present = batch.frame[STREAM].unique()
    numbers = [streams.setdefault(batch.streams[number], len(streams)) for number in present]
    renumbered = pl.Series(STREAM, numbers, dtype=pl.UInt32)
    return batch.frame.with_columns(pl.col(STREAM).replace_strict(present, renumbered, return_dtype=pl.UInt32))


def _split(pool: pl.DataFrame, following: Sequence[Unit], direction: Direction) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows that nothing still unread can precede (in the given direction), and the others."""
    if not following:
        return pool, pool.clear()
    if direction == "backward":
        final = pl.col(TIMESTAMP) > following[0].max_ns
    else:
        final = pl.col(TIMESTAMP) < following[0].min_ns
    return pool.filter(final), pool.filter(~final)
