"""Merging what flushes wrote into few large objects, period by period, and swapping them in atomically.

One step replaces what readers see: the compacted index object of the next generation is put under a name that must not
exist yet. It names all that is compacted in the period and what that covers. Whoever planned from an older state, as it
was paused past its lease, finds the name taken; or, where that object has been replaced and collected meanwhile, puts
an object of a generation below the newest, which no reader looks at. Chunk objects have names of their own, so nothing
is ever overwritten. What was replaced stays until the janitor collects it after a delay: readers with an older list go
on to read it.

A period in which nothing is compacted is begun with an empty index object. When that was put decides the generation to
follow, for all who list it, and it is another one after the period has been removed and has got entries again.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import polars as pl

from log_aggregator.engine.batch import Batch
from log_aggregator.errors import LogAggregatorError
from log_aggregator.formats.chunk import MAX, MIN, ROWS, ChunkOrigin
from log_aggregator.formats.delta import THOROUGH
from log_aggregator.formats.index import Index, encode_index, joined, restricted
from log_aggregator.formats.keys import (
    SECOND_NS,
    IndexKey,
    begun_index_key,
    compacted_chunk_key,
    compacted_index_key,
    parse_index_key,
    period_name,
    period_prefix,
    run_of_chunk,
)
from log_aggregator.model.labels import Labels
from log_aggregator.model.position import Coverage
from log_aggregator.model.segment import ARRIVAL, BATCH_SCHEMA, STREAM, TIMESTAMP
from log_aggregator.services.catalog import IndexCatalog, known_keys, newest_compacted
from log_aggregator.services.chunk_rows import without_duplicates
from log_aggregator.services.chunk_writer import ChunkWriter
from log_aggregator.services.compaction_plan import CELL_TEXT_BYTES, Cell, Choice, Run, cells_of, runs_to_merge
from log_aggregator.services.hidden_rows import HiddenRows
from log_aggregator.services.scan import Scanner
from log_aggregator.services.statistics import ScanStatistics
from log_aggregator.services.units import ChunkUnit, Scan
from log_aggregator.storage.errors import ObjectExists, ObjectNotFound, StoreRefused
from log_aggregator.storage.store import ObjectMeta, ObjectStore

# A period is over this long after its end: by then, a flush of what arrived in time has been written.
_CLOSED_AFTER_NS: Final = 2 * 3600 * 1_000_000_000


class RowsUnread(LogAggregatorError):
    """A compaction did not get every row once that it was to write again: nothing is replaced."""


@dataclass(frozen=True, slots=True)
class Compaction:
    """What one compaction of a period read and wrote."""

    merged_runs: int
    read_bytes: int
    written_bytes: int
    rows_read: int
    rows_written: int


@dataclass(frozen=True, slots=True)
class _Period:
    """What counts in a period: each index object, and its runs."""

    tenant: str
    start_ns: int
    next_generation: int  # 0: the period has not been begun
    coverage: tuple[Coverage, ...]  # of the compacted index object
    indexes: tuple[tuple[IndexKey, Index], ...]
    runs: tuple[Run, ...]


class Compactor:
    """Raises the store's errors, WalUnavailable, CorruptData, RowsUnread, and what `still_leading` raises.

    `still_leading` is asked before anything is made visible.
    """

    def __init__(
        self,
        store: ObjectStore,
        catalog: IndexCatalog,
        scanner: Scanner,
        period_ns: int,
        still_leading: Callable[[], Awaitable[None]],
        cell_text_bytes: int = CELL_TEXT_BYTES,
        *,
        choose: Choice = runs_to_merge,
        mines_patterns: bool = False,
    ) -> None:
        self._store = store
        self._chunks = ChunkWriter(store, THOROUGH, mines_patterns=mines_patterns)
        self._catalog = catalog
        self._scanner = scanner
        self._period_ns = period_ns
        self._still_leading = still_leading
        self._cell_text_bytes = cell_text_bytes
        self._choose = choose

    async def compact(
        self, tenant: str, period_start_ns: int, now_ns: int, erasing: HiddenRows | None = None
    ) -> Compaction | None:
        """Merges runs of the period, if that pays, and leaves out what is to be erased."""
        period = await self._read(tenant, period_start_ns)
        closed = now_ns >= period_start_ns + self._period_ns + _CLOSED_AFTER_NS
        chosen = self._choose(period.runs, closed=closed)
        if not chosen:
            return None
        chunks = frozenset(key for run in chosen for key in run.chunks)
        return await self._merge(period, chunks, erasing)

    async def erase(self, tenant: str, period_start_ns: int, erasing: HiddenRows) -> Compaction | None:
        """Writes chunks anew without what is to be erased; None if none has any of it."""
        period = await self._read(tenant, period_start_ns)
        concerned = [
            chunk for _, index in period.indexes for chunk in await self._concerned(period.tenant, index, erasing)
        ]
        return await self._merge(period, frozenset(concerned), erasing) if concerned else None

    async def _concerned(self, tenant: str, index: Index, erasing: HiddenRows) -> list[str]:
        """Keys of the chunks that hold rows to be erased."""
        found: list[str] = []
        statistics = ScanStatistics()
        low, high = index.refs.select(low=pl.col(MIN).min(), high=pl.col(MAX).max()).row(0)
        if low is None or erasing.between(low, high) is None:
            return found
        scan = Scan(tenant, low, high + 1, lambda labels: True)
        for unit in await asyncio.to_thread(_units, self._scanner, index, scan):
            key = index.chunks[unit.chunk].key
            streams = (index.streams[run.stream] for run in unit.runs)
            if key in found or (concerning := erasing.among(streams, unit.min_ns, unit.max_ns)) is None:
                continue
            batch = await self._scanner.load(unit, scan, concerning.columns, statistics)
            if (await asyncio.to_thread(concerning.kept, batch)).height < batch.frame.height:
                found.append(key)
        return found

    async def _read(self, tenant: str, period_start_ns: int) -> _Period:
        listed = {meta.key: meta async for meta in self._store.list(period_prefix(tenant, period_start_ns))}
        keys = await self._catalog.counting(known_keys(listed))
        indexes = await self._catalog.load(keys)
        sizes: dict[str, dict[str, int]] = {}
        for index in indexes:
            for chunk in index.chunks:
                sizes.setdefault(run_of_chunk(chunk.key), {})[chunk.key] = chunk.size
        runs = tuple(Run(tuple(chunks), sum(chunks.values())) for chunks in sizes.values())
        compacted = newest_compacted(keys)
        return _Period(
            tenant,
            period_start_ns,
            _following(listed[compacted.key]) if compacted is not None else 0,
            compacted.coverages if compacted is not None else (),
            tuple(zip(keys, indexes, strict=True)),
            runs,
        )

    async def _merge(self, period: _Period, chunks: frozenset[str], erasing: HiddenRows | None) -> Compaction:
        if not period.next_generation:
            period = await self._begun(period, chunks)
        sources = [restricted(index, chunks) for _, index in period.indexes]
        coverage = _merged_coverage(period, chunks)
        statistics = ScanStatistics()
        writing = self._write(period, sources, chunks, erasing, statistics)
        written = [part async for part in writing]
        rows = sum(int(source.refs[ROWS].sum()) for source in sources)
        if statistics.lines != rows:
            raise RowsUnread(f"{statistics.lines} of {rows} rows were read of {period.tenant}'s {sorted(chunks)}")
        kept = [_without(index, chunks) for key, index in period.indexes if key.generation]
        index = await asyncio.to_thread(joined, period.tenant, period.start_ns, coverage, [*kept, *written])
        data = await asyncio.to_thread(encode_index, index)
        await self._publish(period, data)
        entries = {chunk.key: chunk.size for _, source in period.indexes for chunk in source.chunks}
        return Compaction(
            len({run_of_chunk(key) for key in chunks}),
            sum(entries[key] for key in chunks),
            len(data) + sum(chunk.size for part in written for chunk in part.chunks),
            rows,
            sum(int(part.refs[ROWS].sum()) for part in written),
        )

    async def _begun(self, period: _Period, chunks: frozenset[str]) -> _Period:
        """The period, begun and listed anew, as another one may have compacted it meanwhile.

        Raises ObjectExists if the chunks do not all count any more.
        """
        empty = joined(period.tenant, period.start_ns, (), [])
        with suppress(ObjectExists):
            await self._put_first(begun_index_key(period.tenant, period.start_ns), encode_index(empty))
        begun = await self._read(period.tenant, period.start_ns)
        if not chunks <= {chunk.key for _, index in begun.indexes for chunk in index.chunks}:
            raise ObjectExists(f"period {period_name(period.start_ns)} of {period.tenant} has changed meanwhile")
        return begun

    async def _write(
        self,
        period: _Period,
        sources: Sequence[Index],
        chunks: frozenset[str],
        erasing: HiddenRows | None,
        statistics: ScanStatistics,
    ) -> AsyncIterator[Index]:
        """One chunk object a cell, and the part of the new index that leads to it."""
        coverage = _run_coverage(period, chunks)
        left = (chunk for _, index in period.indexes for chunk in index.chunks if chunk.key not in chunks)
        is_whole = all(set(coverage).isdisjoint(chunk.coverage) for chunk in left)
        refs = pl.concat([source.refs for source in sources])
        cells = await asyncio.to_thread(cells_of, refs, self._cell_text_bytes)
        generation, run = period.next_generation, secrets.token_hex(8)
        numbers: dict[Labels, int] = {}
        for number, cell in enumerate(cells):
            streams, rows = await self._rows(period.tenant, sources, cell, numbers, erasing, statistics)
            if rows.is_empty():
                continue
            completes = is_whole and number == len(cells) - 1
            origin = ChunkOrigin(period.tenant, period.start_ns, coverage, generation, completes)
            key = compacted_chunk_key(period.tenant, period.start_ns, generation, run, number)
            written = await self._chunks.write(key, origin, streams, rows)
            del rows  # before those of the next cell are read
            yield written

    async def _rows(
        self,
        tenant: str,
        sources: Sequence[Index],
        cell: Cell,
        numbers: dict[Labels, int],
        erasing: HiddenRows | None,
        statistics: ScanStatistics,
    ) -> tuple[tuple[Labels, ...], pl.DataFrame]:
        """The cell's rows, sorted, each once, without those that are erased."""

        def accepts(labels: Labels) -> bool:
            return cell.holds(numbers.setdefault(labels, len(numbers)))

        scan = Scan(tenant, cell.start_ns, cell.end_ns, accepts)
        batches = []
        for source in sources:
            for unit in await asyncio.to_thread(_units, self._scanner, source, scan):
                batch = await self._scanner.load(unit, scan, BATCH_SCHEMA.names(), statistics)
                statistics.lines += batch.frame.height
                if erasing is not None:
                    batch = Batch(batch.streams, await asyncio.to_thread(erasing.kept, batch))
                batches.append(batch)
        return await asyncio.to_thread(_sorted, batches)

    async def _publish(self, period: _Period, data: bytes) -> None:
        """Makes the new state the one that readers see. Raises ObjectExists if another compactor was faster."""
        key = compacted_index_key(period.tenant, period.start_ns, period.next_generation)
        await self._put_first(key, data)
        await self._catalog.publish(parse_index_key(key))

    async def _put_first(self, key: str, data: bytes) -> None:
        """Raises ObjectExists if another compactor was faster."""
        await self._still_leading()
        if await self._exists(key):
            # Also where the server ignores the condition: there, two compactors are told apart by this and the lease.
            raise ObjectExists(f"index object {key} was written by another compactor")
        try:
            await self._store.put(key, data, if_absent=True)
        except ObjectExists:
            # The answer to an earlier attempt may have been lost.
            if await self._store.get(key) != data:
                raise
        except StoreRefused:
            await self._store.put(key, data)  # a server that does not know the condition

    async def _exists(self, key: str) -> bool:
        try:
            await self._store.head(key)
        except ObjectNotFound:
            return False
        return True


def _following(newest: ObjectMeta) -> int:
    """The generation after that of the newest compacted index object of a period, the same for all who list it.

    After the one with which the period was begun come the seconds since 1970, on the store's clock: no name is given a
    second time when a period was removed and has entries again, since readers remember objects by name.
    """
    key = parse_index_key(newest.key)
    is_begun = newest.key == begun_index_key(key.tenant, key.period_start_ns)
    return max(key.generation + 1, newest.modified_ns // SECOND_NS if is_begun else 0)


def _units(scanner: Scanner, index: Index, scan: Scan) -> list[ChunkUnit]:
    return list(scanner.units_of(index, scan))


def _sorted(batches: Sequence[Batch]) -> tuple[tuple[Labels, ...], pl.DataFrame]:
    """The rows of all batches by stream, time and arrival, duplicates left out. Like streams stand side by side."""
    if not batches:
        return (), pl.DataFrame(schema=BATCH_SCHEMA)
    present = [batch.frame[STREAM].unique() for batch in batches]
    streams = sorted(
        {batch.streams[number] for batch, numbers in zip(batches, present, strict=True) for number in numbers}
    )
    number_of = {labels: number for number, labels in enumerate(streams)}
    frames = []
    for batch, numbers in zip(batches, present, strict=True):
        own = pl.Series([number_of[batch.streams[number]] for number in numbers], dtype=pl.UInt32)
        frames.append(batch.frame.with_columns(batch.frame[STREAM].replace_strict(numbers, own)))
    return tuple(streams), without_duplicates(pl.concat(frames).sort(STREAM, TIMESTAMP, ARRIVAL, maintain_order=True))


def _without(index: Index, chunks: Collection[str]) -> Index:
    return restricted(index, {chunk.key for chunk in index.chunks if chunk.key not in chunks})


def _run_coverage(period: _Period, chunks: Collection[str]) -> tuple[Coverage, ...]:
    """What the runs cover that the chunks make up."""
    found = {
        coverage
        for _, index in period.indexes
        for chunk in index.chunks
        if chunk.key in chunks
        for coverage in chunk.coverage
    }
    return tuple(sorted(found))


def _merged_coverage(period: _Period, chunks: Collection[str]) -> tuple[Coverage, ...]:
    """What the new compacted index object covers: as before, and what the merged flushes did."""
    return tuple(sorted({*period.coverage, *_run_coverage(period, chunks)}))
