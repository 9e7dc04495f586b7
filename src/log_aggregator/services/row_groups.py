"""Columns of row groups: fetched by ranges, checked, decoded, and kept for the next query in bounded memory."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence

import polars as pl

from log_aggregator.engine.batch import Form
from log_aggregator.engine.label_columns import PLAIN_NUMBER
from log_aggregator.formats.chunk import check_column
from log_aggregator.formats.errors import CorruptData
from log_aggregator.formats.index import ChunkEntry, Index
from log_aggregator.formats.parquet import ByteSpan, ParquetFooter
from log_aggregator.model.lru import SizedLru
from log_aggregator.services.catalog import IndexCatalog
from log_aggregator.services.statistics import ScanStatistics
from log_aggregator.storage.errors import ObjectNotFound, RangeOutsideObject
from log_aggregator.storage.store import ByteRange, ObjectStore

# Two ranges this close are fetched as one: a request costs more than the bytes between.
_COALESCE_BYTES = 256 << 10
_AS_STORED: Mapping[str, Form] = {}
_MAX_CODES = 4096
_SERIES_BYTES = 256  # beside the values
# Of decoded columns: what queries of the last hours look at again and again.
DEFAULT_CACHE_BYTES = 320 << 20


class RowGroups:
    """Raises the store's errors, CorruptData."""

    def __init__(self, store: ObjectStore, catalog: IndexCatalog, cache_bytes: int = DEFAULT_CACHE_BYTES) -> None:
        self._store = store
        self._catalog = catalog
        self._cache: SizedLru[tuple[str, int, str, Form | None], pl.Series] = SizedLru(cache_bytes)

    def column_names(self, index: Index, chunk: int) -> frozenset[str]:
        """What the chunk has."""
        return frozenset(self._catalog.footer(index, chunk).row_groups[0].spans)

    async def columns(
        self,
        index: Index,
        chunk: int,
        row_group: int,
        names: Collection[str],
        statistics: ScanStatistics,
        *,
        forms: Mapping[str, Form] = _AS_STORED,
    ) -> list[pl.Series]:
        """These columns of all rows of the row group, in the form asked for where their values allow it."""
        entry = index.chunks[chunk]
        found = {name: self._cache.get((entry.key, row_group, name, forms.get(name))) for name in names}
        missing = [name for name, column in found.items() if column is None]
        if missing:
            fetched = await self._fetch(index, chunk, row_group, missing, statistics)
            if any(name in forms for name in missing):
                fetched = await asyncio.to_thread(_formed, fetched, forms)
            for column in fetched:
                found[column.name] = column
                size = int(column.estimated_size()) + _SERIES_BYTES
                self._cache.put((entry.key, row_group, column.name, forms.get(column.name)), column, size)
        return [column for column in found.values() if column is not None]

    async def _fetch(
        self, index: Index, chunk: int, row_group: int, names: Sequence[str], statistics: ScanStatistics
    ) -> list[pl.Series]:
        entry, footer = index.chunks[chunk], self._catalog.footer(index, chunk)
        spans = footer.row_groups[row_group].spans
        ranges = coalesce([spans[name] for name in names])
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(read_span(self._store, entry.key, span)) for span in ranges]
        fetched = {span: task.result() for span, task in zip(ranges, tasks, strict=True)}
        statistics.chunks_downloaded += 1
        statistics.store_bytes += sum(map(len, fetched.values()))
        return await asyncio.to_thread(_decode, entry, footer, row_group, names, fetched)


def _formed(columns: Sequence[pl.Series], forms: Mapping[str, Form]) -> list[pl.Series]:
    makers: Mapping[Form, Callable[[pl.Series], pl.Series]] = {"codes": _coded, "codes or numbers": _coded_or_numbers}
    return [makers[forms[column.name]](column) if column.name in forms else column for column in columns]


def _coded(column: pl.Series) -> pl.Series:
    """`pl.Enum` if few values are distinct: smaller, and grouped without a look at text."""
    values = column.unique().drop_nulls()
    if len(values) > min(_MAX_CODES, len(column) // 4 + 1):
        return column
    return column.cast(pl.Enum(values))


def _coded_or_numbers(column: pl.Series) -> pl.Series:
    coded = _coded(column)
    return coded if isinstance(coded.dtype, pl.Enum) else _numbers(column)


def _numbers(column: pl.Series) -> pl.Series:
    """Floats if every value is a plain number."""
    plain = column.str.contains(PLAIN_NUMBER).all()
    return column.cast(pl.Float64) if plain else column


def coalesce(spans: Sequence[ByteSpan], gap_bytes: int = _COALESCE_BYTES) -> list[ByteSpan]:
    """The fewest ranges that hold all the spans, where small gaps are read along."""
    merged: list[ByteSpan] = []
    for span in sorted(spans):
        if merged and span.start - merged[-1].end <= gap_bytes:
            merged[-1] = ByteSpan(merged[-1].start, max(merged[-1].end, span.end))
        else:
            merged.append(span)
    return merged


async def read_span(store: ObjectStore, chunk: str, span: ByteSpan) -> bytes:
    """Bytes of a chunk. Raises the store's errors, and CorruptData if it is not there or too short."""
    try:
        return await store.get(chunk, ByteRange(*span))
    except ObjectNotFound as error:
        raise CorruptData(f"chunk {chunk} is missing") from error
    except RangeOutsideObject as error:
        raise CorruptData(f"chunk {chunk} is cut short") from error


def _decode(
    entry: ChunkEntry, footer: ParquetFooter, row_group: int, names: Sequence[str], fetched: dict[ByteSpan, bytes]
) -> list[pl.Series]:
    spans = footer.row_groups[row_group].spans
    pieces = {}
    for name in names:
        span = spans[name]
        around = next(held for held in fetched if held.start <= span.start and span.end <= held.end)
        pieces[name] = memoryview(fetched[around])[span.start - around.start : span.end - around.start]
        check_column(entry.key, name, pieces[name], entry.checksums[name][row_group])
    return pl.read_parquet(footer.assemble(names, [(row_group, pieces)])).get_columns()
