"""Reading entries of a time range: from write-ahead logs and chunks, each entry from exactly one of them.

The write-ahead logs are read before the list of index objects, and a record that a listed index object covers is left
out: a flush between the two can neither hide an entry nor show it twice.
"""

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import polars as pl

from log_aggregator.engine.batch import Batch, Form
from log_aggregator.engine.log_rows import RowChooser
from log_aggregator.engine.order import Direction, in_order
from log_aggregator.engine.shapes import Shape
from log_aggregator.engine.skip_filter import Needle
from log_aggregator.errors import first_of
from log_aggregator.formats.chunk import FIELD_PREFIX, LINE_BYTES, SHAPE
from log_aggregator.formats.errors import CorruptData
from log_aggregator.formats.index import ChunkEntry, Index
from log_aggregator.formats.keys import IndexKey, parse_index_key, period_start
from log_aggregator.model.columns import bytes_in_memory
from log_aggregator.model.labels import Labels
from log_aggregator.model.position import Coverage
from log_aggregator.model.segment import BATCH_SCHEMA, LINE, STREAM, TIMESTAMP
from log_aggregator.services.catalog import IndexCatalog
from log_aggregator.services.cutting import MAX_SLICES, cut_many, cut_out, is_inside, of_block, of_record
from log_aggregator.services.damage import current_damage
from log_aggregator.services.hidden_rows import HiddenRows
from log_aggregator.services.layout import DEFAULT_CACHE_BYTES, Layouts
from log_aggregator.services.row_groups import RowGroups, Wanted
from log_aggregator.services.skip_filters import HashedNeedle, SkipFilters
from log_aggregator.services.statistics import ScanStatistics
from log_aggregator.services.tail import Tail, TailRecord
from log_aggregator.services.units import ChunkUnit, Scan, TailUnit, Unit

logger = logging.getLogger(__name__)

_CONCURRENT_UNITS = 4
# Are looked at before a thread is woken.
_FEW_REFS = 256
_FEW_ROWS = 5_000
_PLAIN_TYPES = BATCH_SCHEMA | {LINE_BYTES: pl.UInt32(), SHAPE: pl.UInt16()}


@dataclass(frozen=True, slots=True)
class View:
    """The records and index objects that together hold each entry once.

    A record stands with the starts of the periods whose rows an index object has. `hidden` entries are not seen.
    """

    records: tuple[tuple[TailRecord, tuple[int, ...]], ...] = field(repr=False)
    indexes: tuple[IndexKey, ...] = field(repr=False)
    hidden: HiddenRows | None = field(default=None, repr=False)


class Contents(NamedTuple):
    """The streams that a unit's rows may belong to, its columns, and what its `shape` column numbers."""

    streams: Sequence[Labels]
    columns: Collection[str]
    shapes: tuple[Shape, ...] | None


WantedOfUnit = tuple[Unit, Collection[str], Mapping[str, Form]]
"""Columns of a unit, and the forms they are wanted in."""


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
        layouts_bytes: int = DEFAULT_CACHE_BYTES,
    ) -> None:
        """`hidden_of` tells what of a tenant is not seen. Without `skip_filters`, none are read."""
        self._row_groups = row_groups
        self._catalog = catalog
        self._tail = tail
        self._period_ns = period_ns
        self._hidden_of = hidden_of
        self._skip_filters = skip_filters
        self._layouts = Layouts(layouts_bytes)

    async def ordered(
        self, scan: Scan, direction: Direction, statistics: ScanStatistics, chooser: RowChooser | None = None
    ) -> AsyncIterator[Batch]:
        """Batches in the order of time, each sorted, duplicates left out: stop iterating to stop reading.

        The rows that `predicate` and the chooser leave. Raises QueryTooLarge.
        """
        following = await self.units(scan, statistics)
        following.sort(key=lambda unit: -unit.max_ns if direction == "backward" else unit.min_ns)
        streams: dict[Labels, int] = {}
        pool, held_bytes = pl.DataFrame(schema=BATCH_SCHEMA), 0
        limit = math.inf if chooser is None or chooser.limit is None else chooser.limit
        seen_rows, found_rows, needed_rows = 0, 0, limit
        while following:
            size = _wave_size(following, needed_rows, direction)
            wave, following = following[:size], following[size:]
            async with asyncio.TaskGroup() as group:
                choosing = [group.create_task(self._columns_of(unit, chooser)) for unit in wave]
            wanted = [(unit, *task.result()) for unit, task in zip(wave, choosing, strict=True)]
            async with self.prefetched(wanted, scan, statistics, lines=True), asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._read(*one, scan, statistics, chooser)) for one in wanted]
            pool = pl.concat([pool, *(_renumbered(task.result(), streams) for task in tasks)])
            held_bytes += sum(bytes_in_memory(task.result().frame) for task in tasks)
            seen_rows += sum(unit.rows for unit in wave)
            found_rows += sum(task.result().rows for task in tasks)
            # If as many of the next are wanted.
            needed_rows = max(limit - found_rows, 0) * seen_rows / found_rows if found_rows else math.inf
            tasks.clear()
            if chooser is not None and (last_ns := chooser.last_ns(pool)) is not None:
                scan = _until(scan, last_ns, direction)
                following = [unit for unit in following if unit.max_ns >= scan.start_ns and unit.min_ns < scan.end_ns]
            final, pool = _split(pool, following, direction)
            if final.height:
                table = tuple(streams)
                if final.height <= _FEW_ROWS:
                    yield Batch(table, in_order(final, table, direction))
                else:
                    yield Batch(table, await asyncio.to_thread(in_order, final, table, direction))
            scan.memory.release(held_bytes - bytes_in_memory(pool))
            held_bytes = bytes_in_memory(pool)

    async def units(self, scan: Scan, statistics: ScanStatistics) -> list[Unit]:
        """All that may hold entries of the scan."""
        view = await self.view(scan.tenant, scan.start_ns, scan.end_ns)
        tail: list[Unit] = list(self._tail_units(view, scan))
        indexes = await self._catalog.readable(view.indexes)
        hidden = view.hidden

        def found() -> list[ChunkUnit]:
            return [_hiding(unit, hidden) for key, index in indexes for unit in self.units_of(index, scan, key.key)]

        is_done_soon = sum(index.refs.height for _, index in indexes) <= _FEW_REFS
        chunks = found() if is_done_soon else await asyncio.to_thread(found)
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

    async def contents(self, unit: Unit, *, parses: bool) -> Contents:
        """What the unit has. `parses`: fields of its lines are wanted."""
        if isinstance(unit, ChunkUnit):
            return Contents([unit.index.streams[run.stream] for run in unit.runs], unit.columns, unit.shapes)
        if len(unit.records) == 1:
            return Contents((await self._tail.segment(unit.records[0])).streams, unit.columns, None)
        has_fields = parses and self._tail.is_worth_fields(unit.records)
        block = await self._tail.block(unit.records, with_fields=has_fields)
        return Contents(block.streams, unit.columns.union(_of_fields(block.frame.columns)), block.shapes or None)

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
        form asked for where it is at hand (`RowGroups.columns`). Of a damaged chunk there are none where that is
        allowed (services/damage.py).
        """
        if unit.hidden is None:
            return await self._load_all(unit, scan, columns, statistics, forms or {})
        batch = await self._load_all(unit, scan, {*columns, *unit.hidden.columns}, statistics, {})
        kept = await asyncio.to_thread(unit.hidden.kept, batch)
        return replace(batch, frame=kept.select(columns), runs=None)

    def prefetched(
        self, wanted: Iterable[WantedOfUnit], scan: Scan, statistics: ScanStatistics, *, lines: bool
    ) -> AbstractAsyncContextManager[None]:
        """Reads what `load` is asked for within, its `lines` or not, with fewer requests than one for each unit."""
        return self._row_groups.prefetched(
            [
                _wanted(unit, scan, columns, forms)
                for unit, columns, forms in wanted
                if isinstance(unit, ChunkUnit) and unit.hidden is None
            ],
            statistics,
            lines=lines,
        )

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
            block = await self._tail.block(unit.records, with_fields=bool(_of_fields(columns)))
            return await asyncio.to_thread(of_block, unit, block, scan, columns, forms)
        if isinstance(unit, TailUnit):
            segment = await self._tail.segment(unit.records[0])
            return await asyncio.to_thread(
                of_record, unit, segment.streams, segment.frame, scan, columns, self._period_ns
            )
        found = await self._columns(_wanted(unit, scan, columns, forms), statistics)
        if found is None:
            return Batch(unit.index.streams, _no_rows(columns), unit.shapes, ())
        rows = pl.DataFrame(found)
        if len(unit.runs) <= MAX_SLICES:
            # Copies nothing, and is done before a thread is woken.
            frame, runs = cut_out(rows, unit.runs, scan, columns, is_inside=is_inside(unit, scan))
        else:
            frame, runs = await asyncio.to_thread(
                cut_many, rows, unit.runs, scan, columns, is_inside=is_inside(unit, scan)
            )
        return Batch(unit.index.streams, frame, unit.shapes, runs)

    async def _columns(self, wanted: Wanted, statistics: ScanStatistics) -> list[pl.Series] | None:
        """None of a row group that is damaged, where that is allowed."""
        damage, chunk = current_damage(), wanted.index.chunks[wanted.chunk].key
        if damage is None:
            return await self._row_groups.columns(wanted, statistics)
        if damage.has_row_group(chunk, wanted.row_group):
            return None
        try:
            return await self._row_groups.columns(wanted, statistics)
        except* CorruptData as errors:
            damage.add_row_group(chunk, wanted.row_group, str(first_of(errors)))
        return None

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
        return View(tuple(uncovered(records, keys, self._period_ns)), wanted, hidden)

    def _tail_units(self, view: View, scan: Scan) -> Iterator[TailUnit]:
        """Whole blocks where nothing speaks against it, else record by record."""
        clean = {id(record) for record, covered in view.records if not covered}
        done: set[tuple[str, int]] = set()
        for record, covered in view.records:
            block = (record.wal, record.block)
            if block in done:
                continue
            members = self._tail.block_of(record)
            # A member that the view does not know may have been flushed since, and then is in an index object too.
            if record in members and all(
                id(one) in clean or one.header.min_ns >= scan.end_ns or one.header.max_ns < scan.start_ns
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
        accepted = self._layouts.accepted(index, scan.accepts)
        if not accepted.any():
            return
        for group in self._layouts.of(index):
            if runs := group.runs_of(accepted, scan.start_ns, scan.end_ns):
                low, high = min(run.min_ns for run in runs), max(run.max_ns for run in runs)
                columns = self._row_groups.column_names(index, group.chunk) | {STREAM}
                yield ChunkUnit(index, group.chunk, group.row_group, runs, columns, group.shapes, low, high, index_key)

    async def _columns_of(self, unit: Unit, chooser: RowChooser | None) -> tuple[Collection[str], Mapping[str, Form]]:
        """What to read of the unit."""
        if chooser is None:
            return BATCH_SCHEMA.names(), {}
        contents = await self.contents(unit, parses=chooser.parses)
        columns = chooser.columns(contents.columns, contents.shapes, contents.streams)
        return columns, chooser.forms(columns)

    async def _read(
        self,
        unit: Unit,
        columns: Collection[str],
        forms: Mapping[str, Form],
        scan: Scan,
        statistics: ScanStatistics,
        chooser: RowChooser | None,
    ) -> Batch:
        """The rows that the scan wants, with all the columns of a batch. They are held in the scan's memory."""
        batch = await self.load(unit, scan, columns, statistics, forms=forms)

        def chosen() -> pl.DataFrame:
            if chooser is not None:
                return chooser.choose(batch)
            return batch.frame if scan.predicate is None else batch.frame.filter(scan.predicate)

        kept = await asyncio.to_thread(chosen)
        count_rows(batch.frame, kept.height, statistics)
        scan.memory.hold("entries", bytes_in_memory(kept))
        return Batch(batch.streams, kept)


def _of_fields(columns: Iterable[str]) -> list[str]:
    """The columns of fields among them, and that of shapes, which tells how fields are found."""
    return [name for name in columns if name == SHAPE or name.startswith(FIELD_PREFIX)]


def _wanted(unit: ChunkUnit, scan: Scan, columns: Collection[str], forms: Mapping[str, Form]) -> Wanted:
    """The times are needed to cut the range out, unless all of the unit lies in it."""
    needed = set(columns) - {STREAM}
    if not is_inside(unit, scan):
        needed.add(TIMESTAMP)
    return Wanted(unit.index, unit.chunk, unit.row_group, needed, forms)


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
            found = await _row_groups_with(skip_filters, chunk, one, statistics)
            if found is not None:
                own = [unit for unit in own if unit.row_group in found or _has_label(unit, one.needle.label)]
        return own

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(held(own)) for own in by_chunk.values()]
    left = [unit for task in tasks for unit in task.result()]
    skip_filters.metrics.read.inc(len(left))
    skip_filters.metrics.skipped.inc(len(units) - len(left))
    return left


async def _row_groups_with(
    skip_filters: SkipFilters, chunk: ChunkEntry, needle: HashedNeedle, statistics: ScanStatistics
) -> frozenset[int] | None:
    """None if that is not known: for a damaged filter nothing need be left out, as the rows themselves can be read."""
    if current_damage() is None:
        return await skip_filters.row_groups(chunk, needle, statistics)
    try:
        return await skip_filters.row_groups(chunk, needle, statistics)
    except* CorruptData as errors:
        logger.warning("a skip filter is not used", extra={"error": str(first_of(errors))})
    return None


def _has_label(unit: ChunkUnit, name: str | None) -> bool:
    """Whether a stream of the unit has it."""
    return name is not None and any(name == own for run in unit.runs for own, _ in unit.index.streams[run.stream])


def _no_rows(columns: Collection[str]) -> pl.DataFrame:
    """Field columns are text, as they are stored."""
    return pl.DataFrame(schema={name: _PLAIN_TYPES.get(name, pl.String()) for name in columns})


def _hidden_between(hidden: HiddenRows | None, min_ns: int, max_ns: int) -> HiddenRows | None:
    return hidden.between(min_ns, max_ns) if hidden is not None else None


def _hiding(unit: ChunkUnit, hidden: HiddenRows | None) -> ChunkUnit:
    if hidden is None:
        return unit
    concerned = hidden.among((unit.index.streams[run.stream] for run in unit.runs), unit.min_ns, unit.max_ns)
    return unit if concerned is None else replace(unit, hidden=concerned)


def uncovered(
    records: Iterable[TailRecord], keys: Iterable[IndexKey], period_ns: int
) -> Iterator[tuple[TailRecord, tuple[int, ...]]]:
    """Each record that has rows no index object covers, with the starts of the periods that one does cover."""
    by_wal: dict[str, list[tuple[Coverage, int]]] = {}
    for key in keys:
        for coverage in key.coverages:
            by_wal.setdefault(coverage.wal, []).append((coverage, key.period_start_ns))
    # What is flushed leaves the log at once, so that nearly all records are newer, and there may be thousands of both.
    newest = {wal: max(coverage.last for coverage, _ in held) for wal, held in by_wal.items()}
    for record in records:
        last_held = newest.get(record.wal)
        if last_held is None or record.position > last_held:
            yield record, ()
            continue
        covered = {period for coverage, period in by_wal[record.wal] if coverage.holds(record.position)}
        first, last = (period_start(t, period_ns) for t in (record.header.min_ns, record.header.max_ns))
        if not all(period in covered for period in range(first, last + 1, period_ns)):
            yield record, tuple(covered)


def count_rows(frame: pl.DataFrame, kept: int, statistics: ScanStatistics) -> None:
    """Adds the rows that were looked at, and how many passed the filters."""
    statistics.lines += frame.height
    statistics.kept_lines += kept
    if LINE_BYTES in frame.columns:
        statistics.text_bytes += int(frame[LINE_BYTES].sum())
    elif LINE in frame.columns:
        statistics.text_bytes += int(frame[LINE].str.len_bytes().sum())


def _renumbered(batch: Batch, streams: dict[Labels, int]) -> pl.DataFrame:
    """The rows with their streams numbered in the table of the whole scan, which grows as needed."""
    present, at = np.unique(batch.frame[STREAM].to_numpy(), return_inverse=True)
    numbers = [streams.setdefault(batch.streams[number], len(streams)) for number in present.tolist()]
    return batch.frame.with_columns(pl.Series(STREAM, np.array(numbers, np.uint32)[at]))


def _wave_size(units: Sequence[Unit], needed_rows: float, direction: Direction) -> int:
    """How many of the units, which stand in the order of the scan, to read at once.

    As few as have so many rows, and those that may have rows between theirs.
    """
    rows, low, high = 0, units[0].min_ns, units[0].max_ns
    for count, unit in enumerate(units[:_CONCURRENT_UNITS]):
        is_beyond = unit.max_ns < low if direction == "backward" else unit.min_ns > high
        if rows >= needed_rows and is_beyond:
            return count
        rows, low, high = rows + unit.rows, min(low, unit.min_ns), max(high, unit.max_ns)
    return _CONCURRENT_UNITS


def _until(scan: Scan, last_ns: int, direction: Direction) -> Scan:
    """The scan without what lies beyond that time."""
    return replace(scan, start_ns=last_ns) if direction == "backward" else replace(scan, end_ns=last_ns + 1)


def _split(pool: pl.DataFrame, following: Sequence[Unit], direction: Direction) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows that nothing still unread can precede (in the given direction), and the others."""
    if not following:
        return pool, pool.clear()
    if direction == "backward":
        is_final = pool[TIMESTAMP] > following[0].max_ns
    else:
        is_final = pool[TIMESTAMP] < following[0].min_ns
    return pool.filter(is_final), pool.filter(~is_final)
