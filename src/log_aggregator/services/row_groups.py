"""Columns of row groups: fetched by ranges, checked, decoded, and kept for the next query in bounded memory."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import accumulate

import polars as pl

from log_aggregator.engine.batch import Form
from log_aggregator.formats.chunk import LINE_BYTES, SHAPE, check_column
from log_aggregator.formats.errors import CorruptData
from log_aggregator.formats.index import ChunkEntry, Index
from log_aggregator.formats.parquet import ByteSpan, ParquetFooter
from log_aggregator.model.columns import bytes_in_memory
from log_aggregator.model.lru import SizedLru
from log_aggregator.model.segment import ARRIVAL, LINE, TIMESTAMP
from log_aggregator.services.catalog import IndexCatalog
from log_aggregator.services.forms import formed
from log_aggregator.services.statistics import ScanStatistics
from log_aggregator.storage.errors import ObjectNotFound, RangeOutsideObject
from log_aggregator.storage.store import ByteRange, ObjectStore

# Two ranges this close are fetched as one: a request costs more than the bytes between.
_COALESCE_BYTES = 256 << 10
_SERIES_BYTES = 256  # beside the values
_TEXT_BYTES = 16  # of each, beside what is long in it
_NUMBER_BYTES = {TIMESTAMP: 8, ARRIVAL: 8, LINE_BYTES: 4, SHAPE: 2}
# Of decoded columns: what queries of the last hours look at again and again.
DEFAULT_CACHE_BYTES = 320 << 20


_CacheKey = tuple[str, int, str, Form | None]
"""Of a column: its chunk, row group and name, and the form."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Columns of a row group, and the forms they are wanted in."""

    index: Index
    chunk: int
    row_group: int
    names: Collection[str]
    forms: Mapping[str, Form]


class RowGroups:
    """Raises the store's errors, CorruptData."""

    def __init__(self, store: ObjectStore, catalog: IndexCatalog, cache_bytes: int = DEFAULT_CACHE_BYTES) -> None:
        self._store = store
        self._catalog = catalog
        self._cache_bytes = cache_bytes
        self._ahead_bytes = 0  # read ahead, and not yet used
        self._turn = asyncio.Lock()
        self._used = asyncio.Event()
        self._cache: SizedLru[_CacheKey, pl.Series] = SizedLru(cache_bytes)
        self._under_way: dict[_CacheKey, asyncio.Task[None]] = {}

    def column_names(self, index: Index, chunk: int) -> frozenset[str]:
        """What the chunk has."""
        return frozenset(self._catalog.footer(index, chunk).row_groups[0].spans)

    async def columns(self, wanted: Wanted, statistics: ScanStatistics) -> list[pl.Series]:
        """Of all rows of the row group, in the form asked for where their values allow it."""
        found = {name: self._kept(wanted, name) for name in wanted.names}
        missing = [name for name, column in found.items() if column is None]
        ahead = {name: task for name in missing if (task := self._under_way.get(_cache_key(wanted, name))) is not None}
        await self._fill(found, wanted, [name for name in missing if name not in ahead], statistics)
        if ahead:
            await asyncio.wait(set(ahead.values()))
            for task in ahead.values():
                if not task.cancelled():
                    task.result()
            found.update({name: self._kept(wanted, name) for name in ahead})
            # It was damaged, somebody else's who has gone, or displaced already.
            await self._fill(found, wanted, [name for name in ahead if found[name] is None], statistics)
        return [column for column in found.values() if column is not None]

    def _kept(self, wanted: Wanted, name: str) -> pl.Series | None:
        return self._cache.get(_cache_key(wanted, name))

    async def _fill(
        self, found: dict[str, pl.Series | None], wanted: Wanted, names: Sequence[str], statistics: ScanStatistics
    ) -> None:
        if names:
            ((_, columns),) = await self._fetch([wanted], names, statistics)
            found.update({column.name: column for column in columns})

    @asynccontextmanager
    async def prefetched(
        self, wanted: Sequence[Wanted], statistics: ScanStatistics, *, lines: bool
    ) -> AsyncIterator[None]:
        """Reads columns of many row groups into memory, with fewer requests than one for each, unless they do not fit.

        Within, `columns` finds them there, or waits for them. What is damaged is left to it, and lines unless they are
        asked for.
        """
        together, size_bytes = self._together(wanted, lines=lines) if len(wanted) > 1 else ([], 0)
        if not together or size_bytes > self._cache_bytes // 4:
            yield
            return
        async with self._room(size_bytes):
            tasks = [self._begin(members, sorted(names), statistics) for names, members in together]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, members: Sequence[Wanted], names: Sequence[str], statistics: ScanStatistics) -> asyncio.Task[None]:
        keys = [_cache_key(one, name) for one in members for name in names]

        async def fetch() -> None:
            try:
                await self._fetch(members, names, statistics)
            except* CorruptData:
                pass

        def end(_: asyncio.Task[None]) -> None:
            for key in keys:
                del self._under_way[key]

        task = asyncio.create_task(fetch())
        self._under_way.update(dict.fromkeys(keys, task))
        task.add_done_callback(end)
        return task

    @asynccontextmanager
    async def _room(self, size_bytes: int) -> AsyncIterator[None]:
        """Waits while others have read ahead so much that it would be forgotten before they use it."""
        async with self._turn:
            while self._ahead_bytes + size_bytes > self._cache_bytes // 2:
                self._used.clear()
                await self._used.wait()
            self._ahead_bytes += size_bytes
        try:
            yield
        finally:
            self._ahead_bytes -= size_bytes
            self._used.set()

    def _together(
        self, wanted: Sequence[Wanted], *, lines: bool
    ) -> tuple[list[tuple[frozenset[str], list[Wanted]]], int]:
        """What is to be read at once of what is missing, and the bytes of all of it in memory."""
        chunks: dict[str, list[tuple[Wanted, frozenset[str]]]] = {}
        for one in wanted:
            missing = frozenset(
                name
                for name in one.names
                if self._kept(one, name) is None and _cache_key(one, name) not in self._under_way
            )
            if missing:
                chunks.setdefault(_chunk_key(one), []).append((one, missing))
        together: dict[tuple[str, int | None, frozenset[str]], list[Wanted]] = {}
        size_bytes = 0
        parts: dict[int | None, frozenset[str]]
        for key, members in chunks.items():
            is_worth_it = self._spares_requests(members)
            for one, missing in members:
                # Lines take a core for some milliseconds: those of each row group another.
                parts = {one.row_group: missing}
                if is_worth_it:
                    parts = {None: missing - {LINE}, one.row_group: missing & {LINE}}
                for alone, names in parts.items():
                    if names and (lines or LINE not in names):
                        size_bytes += self._most_bytes(one, names)
                        together.setdefault((key, alone, names), []).append(one)
        return [(names, members) for (_, _, names), members in together.items()], size_bytes

    def _spares_requests(self, members: Sequence[tuple[Wanted, frozenset[str]]]) -> bool:
        """Whether it takes fewer requests to read lines of each row group of a chunk, and the rest of all at once.

        Not if a row group's columns lie side by side, as in a chunk that has but one.
        """
        spans = [
            {name: self._catalog.footer(one.index, one.chunk).row_groups[one.row_group].spans[name] for name in missing}
            for one, missing in members
        ]
        texts = sum(LINE in own for own in spans)
        rest = [span for own in spans for name, span in own.items() if name != LINE]
        return not texts or texts + len(coalesce(rest)) < sum(len(coalesce(list(own.values()))) for own in spans)

    def _most_bytes(self, wanted: Wanted, names: Collection[str]) -> int:
        """Of the values in memory."""
        footer = self._catalog.footer(wanted.index, wanted.chunk)
        texts = set(names) - _NUMBER_BYTES.keys()
        row_bytes = sum(_NUMBER_BYTES.get(name, _TEXT_BYTES) for name in names)
        rows = footer.row_groups[wanted.row_group].rows
        return rows * row_bytes + footer.plain_bytes(wanted.row_group, texts) + len(names) * _SERIES_BYTES

    async def _fetch(
        self, wanted: Sequence[Wanted], names: Sequence[str], statistics: ScanStatistics
    ) -> list[tuple[Wanted, list[pl.Series]]]:
        """These columns of row groups of one chunk. They are kept."""
        entry = wanted[0].index.chunks[wanted[0].chunk]
        footer = self._catalog.footer(wanted[0].index, wanted[0].chunk)
        numbers = [one.row_group for one in wanted]
        ranges = coalesce([footer.row_groups[number].spans[name] for number in numbers for name in names])
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(read_span(self._store, entry.key, span)) for span in ranges]
        fetched = {span: task.result() for span, task in zip(ranges, tasks, strict=True)}
        for number in numbers:
            statistics.count_download(entry.key, number)
        statistics.store_bytes += sum(map(len, fetched.values()))

        def decoded() -> list[tuple[Wanted, list[pl.Series]]]:
            columns = _decode(entry, footer, numbers, names, fetched)
            return [
                (one, [formed(column, form) if (form := one.forms.get(column.name)) else column for column in own])
                for one, own in zip(wanted, columns, strict=True)
            ]

        found = await asyncio.to_thread(decoded)
        for one, columns in found:
            for column in columns:
                self._cache.put(_cache_key(one, column.name), column, bytes_in_memory(column) + _SERIES_BYTES)
        return found


def _chunk_key(wanted: Wanted) -> str:
    return wanted.index.chunks[wanted.chunk].key


def _cache_key(wanted: Wanted, name: str) -> _CacheKey:
    return _chunk_key(wanted), wanted.row_group, name, wanted.forms.get(name)


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
    entry: ChunkEntry,
    footer: ParquetFooter,
    row_groups: Sequence[int],
    names: Sequence[str],
    fetched: Mapping[ByteSpan, bytes],
) -> list[list[pl.Series]]:
    """All in one reading: to set it up takes Polars longer than the small columns of a row group."""
    parts = []
    for number in row_groups:
        spans, pieces = footer.row_groups[number].spans, {}
        for name in names:
            span = spans[name]
            around = next(held for held in fetched if held.start <= span.start and span.end <= held.end)
            pieces[name] = memoryview(fetched[around])[span.start - around.start : span.end - around.start]
            check_column(entry.key, name, pieces[name], entry.checksums[name][number])
        parts.append((number, pieces))
    frame = pl.read_parquet(footer.assemble(names, parts))
    rows = [footer.row_groups[number].rows for number in row_groups]
    return [frame.slice(end - own, own).get_columns() for own, end in zip(rows, accumulate(rows), strict=True)]
