"""Columns of row groups: fetched by ranges, checked, decoded, and kept for the next query in bounded memory."""

import asyncio
from collections.abc import Collection, Sequence

import polars as pl

from log_aggregator.formats.chunk import check_column
from log_aggregator.formats.index import ChunkEntry, Index
from log_aggregator.formats.parquet import ByteSpan, ParquetFooter
from log_aggregator.model.lru import SizedLru
from log_aggregator.services.catalog import IndexCatalog
from log_aggregator.services.statistics import ScanStatistics
from log_aggregator.storage.store import ByteRange, ObjectStore

# Two ranges this close are fetched as one: a request costs more than the bytes between.
_COALESCE_BYTES = 256 << 10
# Of decoded columns: what queries of the last hours look at again and again.
DEFAULT_CACHE_BYTES = 320 << 20


class RowGroups:
    """Raises the store's errors, CorruptData."""

    def __init__(self, store: ObjectStore, catalog: IndexCatalog, cache_bytes: int = DEFAULT_CACHE_BYTES) -> None:
        self._store = store
        self._catalog = catalog
        self._cache: SizedLru[tuple[str, int, str], pl.Series] = SizedLru(cache_bytes)

    def column_names(self, index: Index, chunk: int) -> frozenset[str]:
        """What the chunk has."""
        return frozenset(self._catalog.footer(index, chunk).row_groups[0].spans)

    async def columns(
        self, index: Index, chunk: int, row_group: int, names: Collection[str], statistics: ScanStatistics
    ) -> list[pl.Series]:
        """These columns of all rows of the row group."""
        entry = index.chunks[chunk]
        found = {name: self._cache.get((entry.key, row_group, name)) for name in names}
        missing = [name for name, column in found.items() if column is None]
        if missing:
            for column in await self._fetch(index, chunk, row_group, missing, statistics):
                found[column.name] = column
                size = int(column.estimated_size()) + 256
                self._cache.put((entry.key, row_group, column.name), column, size)
        return [column for column in found.values() if column is not None]

    async def _fetch(
        self, index: Index, chunk: int, row_group: int, names: Sequence[str], statistics: ScanStatistics
    ) -> list[pl.Series]:
        entry, footer = index.chunks[chunk], self._catalog.footer(index, chunk)
        spans = footer.row_groups[row_group].spans
        ranges = coalesce([spans[name] for name in names])
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._store.get(entry.key, ByteRange(*span))) for span in ranges]
        fetched = {span: task.result() for span, task in zip(ranges, tasks, strict=True)}
        statistics.chunks_downloaded += 1
        statistics.store_bytes += sum(map(len, fetched.values()))
        return await asyncio.to_thread(_decode, entry, footer, row_group, names, fetched)


def coalesce(spans: Sequence[ByteSpan]) -> list[ByteSpan]:
    """The fewest ranges that hold all the spans, where small gaps are read along."""
    merged: list[ByteSpan] = []
    for span in sorted(spans):
        if merged and span.start - merged[-1].end <= _COALESCE_BYTES:
            merged[-1] = ByteSpan(merged[-1].start, max(merged[-1].end, span.end))
        else:
            merged.append(span)
    return merged


def _decode(
    entry: ChunkEntry, footer: ParquetFooter, row_group: int, names: Sequence[str], fetched: dict[ByteSpan, bytes]
) -> list[pl.Series]:
    spans = footer.row_groups[row_group].spans
    pieces = {}
    for name in names:
        span = spans[name]
        around = next(held for held in fetched if held.start <= span.start and span.end <= held.end)
        pieces[name] = fetched[around][span.start - around.start : span.end - around.start]
        check_column(entry.key, name, pieces[name], entry.checksums[name][row_group])
    return pl.read_parquet(footer.assemble(names, [(row_group, pieces)])).get_columns()
