"""Reading entries of a time range: from write-ahead logs and chunks, each entry from exactly one of them.

The write-ahead logs are read before the list of index objects, and a record that a listed index object covers is left
out: a flush between the two can neither hide an entry nor show it twice.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from log_aggregator.engine.batch import Batch
from log_aggregator.engine.log_rows import RowChooser
from log_aggregator.engine.order import Direction, in_order
from log_aggregator.engine.query_memory import QueryMemory
from log_aggregator.engine.shapes import Shape
from log_aggregator.engine.skip_filter import Needle
from log_aggregator.formats.chunk import FIELD_PREFIX, LINE_BYTES, ROW_OFFSET, ROWS
from log_aggregator.formats.index import Index
from log_aggregator.formats.keys import IndexKey, parse_index_key, period_start
from log_aggregator.model.labels import Labels
from log_aggregator.model.position import Coverage
from log_aggregator.model.segment import ARRIVAL, BATCH_SCHEMA, LINE, METADATA, STREAM, TIMESTAMP
from log_aggregator.services.catalog import IndexCatalog
from log_aggregator.services.hidden_rows import HiddenRows
from log_aggregator.services.layout import Layouts, Run
from log_aggregator.services.row_groups import Form, RowGroups
from log_aggregator.services.skip_filters import HashedNeedle, SkipFilters
from log_aggregator.services.statistics import ScanStatistics
from log_aggregator.services.tail import Block, Tail, TailRecord

_CONCURRENT_UNITS = 4
# Up to this many runs of wanted rows are cut out of a row group one by one; more are found by a mask.
_MAX_SLICES = 64
_TAIL_COLUMNS = frozenset({STREAM, TIMESTAMP, ARRIVAL, LINE, METADATA, LINE_BYTES})


@dataclass(frozen=True, slots=True)
class Scan:
    """What to read. `accepts` chooses streams, `predicate` rows by the columns of a batch.

    Rows that do not meet all `needles` are not wanted, and may be left out.
    """

    tenant: str
    start_ns: int
    end_ns: int  # exclusive
    accepts: Callable[[Labels], bool]
    predicate: pl.Expr | None = None
    needles: tuple[Needle, ...] = ()
    memory: QueryMemory = field(default_factory=QueryMemory, repr=False, compare=False)
    """Where rows are held that have been read and not yet given."""


@dataclass(frozen=True, slots=True)
class TailUnit:
    """The rows of a record of a write-ahead log, but for the periods whose rows an index object has.

    Or of several records, all of one block (`Tail.block`) and none covered.
    """

    records: tuple[TailRecord, ...] = field(repr=False)
    covered: tuple[int, ...]
    min_ns: int
    max_ns: int
    hidden: HiddenRows | None = field(default=None, repr=False)

    @property
    def tenant(self) -> str:
        return self.records[0].header.tenant

    @property
    def columns(self) -> frozenset[str]:
        return _TAIL_COLUMNS

    @property
    def shapes(self) -> tuple[Shape, ...] | None:
        return None


@dataclass(frozen=True, slots=True)
class ChunkUnit:
    """The rows of accepted streams in one row group. `runs` has them in the order of the rows."""

    index: Index = field(repr=False)
    chunk: int
    row_group: int
    runs: tuple[Run, ...] = field(repr=False)
    columns: frozenset[str] = field(repr=False)
    shapes: tuple[Shape, ...] | None = field(repr=False)
    min_ns: int
    max_ns: int
    index_key: str = ""
    """Of the index object, so that other replicas find the unit."""
    hidden: HiddenRows | None = field(default=None, repr=False)


Unit = TailUnit | ChunkUnit
"""A part of a scan that is read at once. Every entry is in one unit, but exact duplicates may be in several."""


@dataclass(frozen=True, slots=True)
class View:
    """The records and index objects that together hold each entry once.

    A record stands with the starts of the periods whose rows an index object has. `hidden` entries are not seen.
    """

    records: tuple[tuple[TailRecord, tuple[int, ...]], ...] = field(repr=False)
    indexes: tuple[IndexKey, ...] = field(repr=False)
    hidden: HiddenRows | None = field(default=None, repr=False)


async def _nothing_hidden(_: str) -> HiddenRows | None:
    return None


class Scanner:
    """Raises the store's errors, WalUnavailable, CorruptData."""

    def __init__(
        self,
        row_groups: RowGroups,
        catalog: IndexCatalog,
        tail: Tail,
        period_ns: int,
        hidden_of: Callable[[str], Awaitable[HiddenRows | None]] = _nothing_hidden,
        skip_filters: SkipFilters | None = None,
    ) -> None:
        """`hidden_of` tells what of a tenant is not seen. Without `skip_filters`, none are read."""
        self._row_groups = row_groups
        self._catalog = catalog
        self._tail = tail
        self._period_ns = period_ns
        self._hidden_of = hidden_of
        self._skip_filters = skip_filters
        self._layouts = Layouts()

    async def ordered(
        self, scan: Scan, direction: Direction, statistics: ScanStatistics, chooser: RowChooser | None = None
    ) -> AsyncIterator[Batch]:
        """Batches in the order of time, each sorted, duplicates left out: stop iterating to stop reading.

        The rows that `predicate` and the chooser leave. Raises QueryTooLarge.
        """
        units = await self.units(scan, statistics)
        units.sort(key=lambda unit: -unit.max_ns if direction == "backward" else unit.min_ns)
        streams: dict[Labels, int] = {}
        pool = pl.DataFrame(schema=BATCH_SCHEMA)
        for begin in range(0, len(units), _CONCURRENT_UNITS):
            wave, following = units[begin : begin + _CONCURRENT_UNITS], units[begin + _CONCURRENT_UNITS :]
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._read(unit, scan, statistics, chooser)) for unit in wave]
            pool = pl.concat([pool, *(_renumbered(task.result(), streams) for task in tasks)])
            tasks.clear()
            held_bytes = int(pool.estimated_size())
            scan.memory.hold("entries", held_bytes)
            final, pool = _split(pool, following, direction)
            if final.height:
                yield Batch(tuple(streams), in_order(final, direction))
            scan.memory.release(held_bytes)

    async def units(self, scan: Scan, statistics: ScanStatistics) -> list[Unit]:
        """All that may hold entries of the scan."""
        view = await self.view(scan.tenant, scan.start_ns, scan.end_ns)
        tail: list[Unit] = list(self._tail_units(view, scan))
        indexes = await self._catalog.load(view.indexes)
        hidden = view.hidden
        chunks = await asyncio.to_thread(
            lambda: [
                _hiding(unit, hidden)
                for key, index in zip(view.indexes, indexes, strict=True)
                for unit in self.units_of(index, scan, key.key)
            ]
        )
        if self._skip_filters is not None and scan.needles:
            chunks = await _holding(self._skip_filters, chunks, scan.needles, statistics)
        statistics.tail_records += len(tail)
        statistics.chunk_refs += sum(len(unit.runs) for unit in chunks)
        return [*tail, *chunks]

    async def units_in(self, keys: Sequence[str], scan: Scan) -> list[ChunkUnit]:
        """The units of these index objects, as `units` gives them where nothing is hidden.

        Whether the objects are still listed does not matter.
        """
        indexes = await self._catalog.load([parse_index_key(key) for key in keys])
        pairs = list(zip(keys, indexes, strict=True))
        return await asyncio.to_thread(
            lambda: [unit for key, index in pairs for unit in self.units_of(index, scan, key)]
        )

    async def streams_of(self, unit: Unit) -> Sequence[Labels]:
        """The streams that the unit's rows may belong to."""
        if isinstance(unit, TailUnit):
            if len(unit.records) > 1:
                return (await self._tail.block(unit.records)).streams
            return (await self._tail.segment(unit.records[0])).streams
        return [unit.index.streams[run.stream] for run in unit.runs]

    async def load(
        self,
        unit: Unit,
        scan: Scan,
        columns: Collection[str],
        statistics: ScanStatistics,
        *,
        forms: Mapping[str, Form] | None = None,
    ) -> Batch:
        """These columns, which the unit has, of the rows of accepted streams in the range.

        The scan's predicate is not applied. Rows of a chunk stand in the order of stream and time. Columns come in the
        form asked for where it is at hand (`RowGroups.columns`).
        """
        if unit.hidden is None:
            return await self._load_all(unit, scan, columns, statistics, forms or {})
        batch = await self._load_all(unit, scan, {*columns, *unit.hidden.columns}, statistics, {})
        kept = await asyncio.to_thread(unit.hidden.kept, batch)
        return replace(batch, frame=kept.select(columns), runs=None)

    async def _load_all(
        self,
        unit: Unit,
        scan: Scan,
        columns: Collection[str],
        statistics: ScanStatistics,
        forms: Mapping[str, Form],
    ) -> Batch:
        """As `load`, with what is hidden."""
        if isinstance(unit, TailUnit) and len(unit.records) > 1:
            block = await self._tail.block(unit.records)
            return await asyncio.to_thread(_of_block, unit, block, scan, columns)
        if isinstance(unit, TailUnit):
            segment = await self._tail.segment(unit.records[0])
            return await asyncio.to_thread(
                _of_record, unit, segment.streams, segment.frame, scan, columns, self._period_ns
            )
        # The times are needed to cut the range out, unless all of the unit lies in it.
        needed = set(columns) - {STREAM}
        if not _inside(unit, scan):
            needed.add(TIMESTAMP)
        found = await self._row_groups.columns(unit.index, unit.chunk, unit.row_group, needed, statistics, forms=forms)
        rows = pl.DataFrame(found)
        if len(unit.runs) <= _MAX_SLICES:
            # Copies nothing, and is done before a thread is woken.
            frame, runs = _cut_out(rows, unit.runs, scan, columns, is_inside=_inside(unit, scan))
        else:
            frame, runs = await asyncio.to_thread(
                _cut_many, rows, unit.runs, scan, columns, is_inside=_inside(unit, scan)
            )
        return Batch(unit.index.streams, frame, unit.shapes, runs)

    async def view(self, tenant: str, start_ns: int, end_ns: int) -> View:
        """All that may hold entries of `[start_ns, end_ns)`.

        What is hidden is asked for first: once a deletion is carried out and no longer hidden, its rows are in none of
        the index objects that are listed afterwards.
        """
        hidden = await self._hidden_of(tenant)
        if hidden is not None:
            start_ns = max(start_ns, hidden.oldest_ns)
            if start_ns >= end_ns:
                return View((), ())
        records = await self._tail.records(tenant, start_ns, end_ns)
        keys = await self._catalog.keys(tenant, start_ns, end_ns)
        wanted = tuple(key for key in keys if key.overlaps(start_ns, end_ns))
        return View(tuple(self._uncovered(records, keys)), wanted, hidden)

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

    def _tail_units(self, view: View, scan: Scan) -> Iterator[TailUnit]:
        """Whole blocks where nothing speaks against it, else record by record."""
        clean = {(record.wal, record.position) for record, covered in view.records if not covered}
        done: set[tuple[str, int]] = set()
        for record, covered in view.records:
            block = (record.wal, record.block)
            if block in done:
                continue
            members = self._tail.block_of(record)
            # A member that the view does not know may have been flushed since, and then is in an index object too.
            if record in members and all(
                (one.wal, one.position) in clean
                or one.header.min_ns >= scan.end_ns
                or one.header.max_ns < scan.start_ns
                for one in members
            ):
                done.add(block)
                low, high = min(one.header.min_ns for one in members), max(one.header.max_ns for one in members)
                yield TailUnit(members, (), low, high, _hidden_between(view.hidden, low, high))
            else:
                low, high = record.header.min_ns, record.header.max_ns
                yield TailUnit((record,), covered, low, high, _hidden_between(view.hidden, low, high))

    def units_of(self, index: Index, scan: Scan, index_key: str = "") -> Iterator[ChunkUnit]:
        """The row groups that hold accepted streams in the range."""
        accepted = {number for number, labels in enumerate(index.streams) if scan.accepts(labels)}
        for group in self._layouts.of(index):
            runs = tuple(
                run
                for run in group.runs
                if run.stream in accepted and run.min_ns < scan.end_ns and run.max_ns >= scan.start_ns
            )
            if runs:
                low, high = min(run.min_ns for run in runs), max(run.max_ns for run in runs)
                columns = self._row_groups.column_names(index, group.chunk) | {STREAM}
                yield ChunkUnit(index, group.chunk, group.row_group, runs, columns, group.shapes, low, high, index_key)

    async def _read(self, unit: Unit, scan: Scan, statistics: ScanStatistics, chooser: RowChooser | None) -> Batch:
        """The rows that the scan wants, with all the columns of a batch."""
        columns: Collection[str] = BATCH_SCHEMA.names()
        forms: Mapping[str, Form] = {}
        if chooser is not None:
            columns = chooser.columns(unit.columns, unit.shapes, await self.streams_of(unit))
            forms = {name: "codes" for name in columns if name == METADATA or name.startswith(FIELD_PREFIX)}
        batch = await self.load(unit, scan, columns, statistics, forms=forms)

        def chosen() -> pl.DataFrame:
            frame = batch.frame if scan.predicate is None else batch.frame.filter(scan.predicate)
            return frame if chooser is None else chooser.choose(Batch(batch.streams, frame, batch.shapes))

        kept = await asyncio.to_thread(chosen)
        count_rows(batch.frame, kept.height, statistics)
        return Batch(batch.streams, kept)


async def _holding(
    skip_filters: SkipFilters, units: Sequence[ChunkUnit], needles: Sequence[Needle], statistics: ScanStatistics
) -> list[ChunkUnit]:
    """The units that may hold all the needles."""
    by_chunk: dict[str, list[ChunkUnit]] = {}
    for unit in units:
        by_chunk.setdefault(unit.index.chunks[unit.chunk].key, []).append(unit)
    hashed = [HashedNeedle.of(needle) for needle in needles]

    async def held(own: list[ChunkUnit]) -> list[ChunkUnit]:
        chunk = own[0].index.chunks[own[0].chunk]
        for one in hashed:
            if all(_has_label(unit, one.needle.label) for unit in own):
                continue
            found = await skip_filters.row_groups(chunk, one, statistics)
            if found is not None:
                own = [unit for unit in own if unit.row_group in found or _has_label(unit, one.needle.label)]
        return own

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(held(own)) for own in by_chunk.values()]
    left = [unit for task in tasks for unit in task.result()]
    skip_filters.metrics.read.inc(len(left))
    skip_filters.metrics.skipped.inc(len(units) - len(left))
    return left


def _has_label(unit: ChunkUnit, name: str | None) -> bool:
    """Whether a stream of the unit has it."""
    return name is not None and any(name == own for run in unit.runs for own, _ in unit.index.streams[run.stream])


def _hidden_between(hidden: HiddenRows | None, min_ns: int, max_ns: int) -> HiddenRows | None:
    return hidden.between(min_ns, max_ns) if hidden is not None else None


def _hiding(unit: ChunkUnit, hidden: HiddenRows | None) -> ChunkUnit:
    if hidden is None:
        return unit
    concerned = hidden.among((unit.index.streams[run.stream] for run in unit.runs), unit.min_ns, unit.max_ns)
    return unit if concerned is None else replace(unit, hidden=concerned)


def count_rows(frame: pl.DataFrame, kept: int, statistics: ScanStatistics) -> None:
    """Adds the rows that were looked at, and how many passed the filters."""
    statistics.lines += frame.height
    statistics.kept_lines += kept
    if LINE_BYTES in frame.columns:
        statistics.text_bytes += int(frame[LINE_BYTES].sum())
    elif LINE in frame.columns:
        statistics.text_bytes += int(frame[LINE].str.len_bytes().sum())


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
        ARRIVAL: pl.lit(unit.records[0].position.arrival, pl.Int64).alias(ARRIVAL),
        LINE_BYTES: pl.col(LINE).str.len_bytes().alias(LINE_BYTES),
    }
    return Batch(streams, rows.select(made.get(name, pl.col(name)) for name in columns))


_Runs = tuple[tuple[int, int], ...]


def _of_block(unit: TailUnit, block: Block, scan: Scan, columns: Collection[str]) -> Batch:
    runs, offset = [], 0
    accepted = [scan.accepts(labels) for labels in block.streams]
    for stream, count in block.runs:
        if accepted[stream]:
            runs.append(Run(stream, offset, count, unit.min_ns, unit.max_ns))
        offset += count
    rows = block.frame
    if LINE_BYTES in columns:
        rows = rows.with_columns(pl.col(LINE).str.len_bytes().alias(LINE_BYTES))
    cut = _cut_out if len(runs) <= _MAX_SLICES else _cut_many
    frame, lengths = cut(rows, runs, scan, columns, is_inside=_inside(unit, scan))
    return Batch(block.streams, frame, None, lengths)


def _cut_out(
    rows: pl.DataFrame, runs: Sequence[Run], scan: Scan, columns: Collection[str], *, is_inside: bool
) -> tuple[pl.DataFrame, _Runs]:
    """The rows of the runs that lie in the range, run by run."""
    parts = [(run.stream, run.offset, run.rows) for run in runs]
    if not is_inside:
        parts = _cut(runs, rows[TIMESTAMP], scan)
    kept = _rows_of([(offset, count) for _, offset, count in parts], rows)
    lengths = tuple((stream, count) for stream, _, count in parts)
    if STREAM in columns:
        kept = _with_streams(kept, lengths)
    return kept.select(columns), lengths


def _cut_many(
    rows: pl.DataFrame, runs: Sequence[Run], scan: Scan, columns: Collection[str], *, is_inside: bool
) -> tuple[pl.DataFrame, _Runs]:
    """The same by row numbers, and the range by a mask."""
    table = pl.DataFrame(
        [(run.stream, run.offset, run.rows) for run in runs],
        pl.Schema({STREAM: pl.UInt32, ROW_OFFSET: pl.UInt32, ROWS: pl.UInt32}),
        orient="row",
    )
    numbers = table.select(
        pl.int_ranges(ROW_OFFSET, pl.col(ROW_OFFSET) + pl.col(ROWS), dtype=pl.UInt32).alias("row"), STREAM
    ).explode("row")
    kept = rows[numbers["row"]].with_columns(numbers[STREAM]) if rows.width else numbers.select(STREAM)
    if not is_inside:
        kept = kept.filter(pl.col(TIMESTAMP).is_between(scan.start_ns, scan.end_ns, closed="left"))
    lengths = tuple(kept[STREAM].rle().struct.unnest().select("value", "len").iter_rows())
    return kept.select(columns), lengths


def _cut(runs: Sequence[Run], times: pl.Series, scan: Scan) -> list[tuple[int, int, int]]:
    """Stream, first row and number of rows of each run's part in the range."""
    cut = []
    for run in runs:
        first, last = 0, run.rows
        own = times.slice(run.offset, run.rows)
        if run.min_ns < scan.start_ns:
            first = int(own.search_sorted(scan.start_ns, "left"))
        if run.max_ns >= scan.end_ns:
            last = int(own.search_sorted(scan.end_ns, "left"))
        if first < last:
            cut.append((run.stream, run.offset + first, last - first))
    return cut


def _rows_of(parts: Sequence[tuple[int, int]], rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of all the parts (first row, number), in order. Parts that follow on each other are cut out as one."""
    if not rows.width:
        return rows
    pieces: list[tuple[int, int]] = []
    for offset, count in parts:
        if pieces and pieces[-1][0] + pieces[-1][1] == offset:
            pieces[-1] = (pieces[-1][0], pieces[-1][1] + count)
        else:
            pieces.append((offset, count))
    if not pieces:
        return rows.clear()
    if len(pieces) == 1:
        return rows.slice(*pieces[0])
    return pl.concat([rows.slice(offset, count) for offset, count in pieces])


def _with_streams(rows: pl.DataFrame, lengths: Sequence[tuple[int, int]]) -> pl.DataFrame:
    parts = [pl.Series(STREAM, [stream], dtype=pl.UInt32).new_from_index(0, count) for stream, count in lengths]
    numbers = pl.concat(parts) if parts else pl.Series(STREAM, [], dtype=pl.UInt32)
    return rows.with_columns(numbers) if rows.width else numbers.to_frame()


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
