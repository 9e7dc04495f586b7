"""Which streams a tenant has in a time range and how much of each, known without reading an entry of a chunk.

An extent is the rows of one stream in one row group of a chunk, or in one record of a write-ahead log and one index
period (the record's other periods may have been flushed). Extents of an index object and of a record never change;
they are kept, with the streams numbered in one table for each tenant.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import polars as pl

from log_aggregator.engine.label_table import LabelTable
from log_aggregator.formats.chunk import MAX, MIN, ROWS, TEXT_BYTES
from log_aggregator.formats.index import Index
from log_aggregator.formats.keys import IndexKey
from log_aggregator.logql.ast import Matcher
from log_aggregator.model.columns import kept
from log_aggregator.model.limits import Limits
from log_aggregator.model.lru import SizedLru
from log_aggregator.model.position import Position
from log_aggregator.model.segment import ARRIVAL, STREAM, TIMESTAMP, Segment, clamped_ns, joined, text_bytes_of_rows
from log_aggregator.services.catalog import IndexCatalog
from log_aggregator.services.hidden_rows import HiddenRows
from log_aggregator.services.query_limits import deadline
from log_aggregator.services.scan import Scanner
from log_aggregator.services.tail import TailRecord
from log_aggregator.services.tenants_asked import tenants_asked

EXTENT_SCHEMA = pl.Schema({STREAM: pl.UInt32, ROWS: pl.UInt32, MIN: pl.Int64, MAX: pl.Int64, TEXT_BYTES: pl.UInt64})
# Decoded at once, to bound the memory that they take.
_RECORDS_AT_ONCE = 256
_INDEXES_AT_ONCE = 8

_DEFAULT_CACHE_BYTES = 512 << 20  # of all tenants
_FRAME_BYTES = 256 << 20  # of one tenant's extents
_STREAM_BYTES = 1024  # a stream of a few labels in the table
_FRAME_OVERHEAD_BYTES = 1024

Answer = TypeVar("Answer")
_Source = str | tuple[str, Position]
"""The key of an index object, or the log and position of a record."""


@dataclass(frozen=True, slots=True)
class Extents:
    """`frame` has EXTENT_SCHEMA; its `stream` numbers the table, whose other streams lie outside the range."""

    table: LabelTable
    frame: pl.DataFrame = field(repr=False)

    def of(self, selector: Sequence[Matcher]) -> pl.DataFrame:
        """Those of the streams that the selector accepts."""
        return kept(self.frame, self.table.accepted(selector)[self.frame[STREAM]])


class StreamExtents:
    """Raises QueryTimeout, the store's errors, WalUnavailable, CorruptData."""

    def __init__(
        self,
        scanner: Scanner,
        catalog: IndexCatalog,
        period_ns: int,
        limits_of: Callable[[str], Limits],
        cache_bytes: int = _DEFAULT_CACHE_BYTES,
    ) -> None:
        self._scanner = scanner
        self._catalog = catalog
        self._period_ns = period_ns
        self._limits_of = limits_of
        self._tenants: SizedLru[str, _Tenant] = SizedLru(cache_bytes)

    async def ask(self, tenant: str, start_ns: int, end_ns: int, question: Callable[[Extents], Answer]) -> Answer:
        """The answer of a function, which runs in a thread, to the extents that touch `[start_ns, end_ns)`."""
        async with deadline(self._limits_of(tenant)):
            return await self._ask(tenant, start_ns, end_ns, question)

    async def ask_each(
        self,
        tenant: str,
        start_ns: int,
        end_ns: int,
        selector: Sequence[Matcher],
        question: Callable[[Sequence[Matcher], Extents], Answer],
    ) -> list[Answer]:
        """The answers of several tenants (`model.tenants`), each asked with what the selector asks of its streams."""
        return [
            await self.ask(one, start_ns, end_ns, partial(question, own))
            for one, own in tenants_asked(tenant, selector)
        ]

    async def _ask(self, tenant: str, start_ns: int, end_ns: int, question: Callable[[Extents], Answer]) -> Answer:
        view = await self._scanner.view(tenant, start_ns, end_ns)
        known = self._tenants.get(tenant) or _Tenant(self._period_ns)

        def answer(stored: Sequence[pl.DataFrame]) -> Answer:
            with known.guard:
                frames = [*stored, *known.of_records(view.records)]
                frame = pl.concat(frames) if frames else pl.DataFrame(schema=EXTENT_SCHEMA)
                touching = kept(frame, (frame[MIN] <= clamped_ns(end_ns - 1)) & (frame[MAX] >= clamped_ns(start_ns)))
                if view.hidden is not None:
                    touching = _seen(touching, known.table, view.hidden)
                return question(Extents(known.table, touching))

        async with known.asking:
            try:
                return await asyncio.to_thread(answer, await self._of_indexes(known, view.indexes))
            finally:
                # A tenant too large to be kept is begun anew by every question.
                self._tenants.put(tenant, known, known.size_bytes)

    async def _of_indexes(self, known: "_Tenant", keys: Sequence[IndexKey]) -> list[pl.DataFrame]:
        frames = await asyncio.to_thread(known.of_known_indexes, keys)
        new = [key for key in keys if key.key not in frames]
        for begin in range(0, len(new), _INDEXES_AT_ONCE):
            batch = new[begin : begin + _INDEXES_AT_ONCE]
            for key, index in await self._catalog.readable(batch):
                frames[key.key] = await asyncio.to_thread(known.of_index, key, index)
        return list(frames.values())


class _Tenant:
    """One tenant's streams and extents, as far as questions have needed them.

    `asking` lets one question at a time load what is missing. `guard` is held by whatever touches the rest: a request
    that is cancelled leaves its thread behind, which then runs beside that of the next.
    """

    def __init__(self, period_ns: int) -> None:
        self.asking = asyncio.Lock()
        self.guard = threading.Lock()
        self.table = LabelTable()
        self._period_ns = period_ns
        self._frames: SizedLru[_Source, pl.DataFrame] = SizedLru(_FRAME_BYTES)

    @property
    def size_bytes(self) -> int:
        return len(self.table) * _STREAM_BYTES + self._frames.used_bytes

    def of_known_indexes(self, keys: Sequence[IndexKey]) -> dict[str, pl.DataFrame]:
        with self.guard:
            frames = {key.key: self._frames.get(key.key) for key in keys}
        return {key: frame for key, frame in frames.items() if frame is not None}

    def of_index(self, key: IndexKey, index: Index) -> pl.DataFrame:
        with self.guard:
            numbers = self.table.numbers(index.streams)
            frame = index.refs.select(EXTENT_SCHEMA.names()).with_columns(numbers.gather(index.refs[STREAM]))
            self._keep(key.key, frame)
        return frame

    def of_records(self, records: Sequence[tuple[TailRecord, tuple[int, ...]]]) -> list[pl.DataFrame]:
        """The extents of the periods that no index object covers."""
        frames: dict[_Source, pl.DataFrame] = {}
        new: list[TailRecord] = []
        for record, _ in records:
            frame = self._frames.get(_source(record))
            if frame is None:
                new.append(record)
            else:
                frames[_source(record)] = frame
        for begin in range(0, len(new), _RECORDS_AT_ONCE):
            batch = new[begin : begin + _RECORDS_AT_ONCE]
            summed = _summed([record.decode() for record in batch], self.table, self._period_ns)
            for record, frame in zip(batch, summed, strict=True):
                frames[_source(record)] = frame
                self._keep(_source(record), frame)
        return [self._uncovered(frames[_source(record)], covered) for record, covered in records]

    def _uncovered(self, frame: pl.DataFrame, covered: Sequence[int]) -> pl.DataFrame:
        for period in covered:
            frame = frame.filter(~pl.col(MIN).is_between(period, period + self._period_ns, closed="left"))
        return frame

    def _keep(self, source: _Source, frame: pl.DataFrame) -> None:
        self._frames.put(source, frame, int(frame.estimated_size()) + _FRAME_OVERHEAD_BYTES)


def _seen(frame: pl.DataFrame, table: LabelTable, hidden: HiddenRows) -> pl.DataFrame:
    """Without the extents of which nothing is left to see. Of others, what is hidden still counts."""
    low, high = frame.select(low=pl.col(MIN).min(), high=pl.col(MAX).max()).row(0)
    if low is None or hidden.between(low, high) is None:
        return frame
    streams = table.streams(frame[STREAM])
    seen = [
        not hidden.hides_all(labels, low, high)
        for labels, (low, high) in zip(streams, frame.select(MIN, MAX).iter_rows(), strict=True)
    ]
    return frame.filter(pl.Series(seen, dtype=pl.Boolean))


def bounds_between(start_ns: int, end_ns: int) -> tuple[pl.Expr, pl.Expr]:
    """Where an extent begins and ends within `[start_ns, end_ns)`, the end exclusive."""
    return pl.max_horizontal(pl.col(MIN), start_ns), pl.min_horizontal(pl.col(MAX) + 1, end_ns)


def share_between(start_ns: int, end_ns: int) -> pl.Expr:
    """The part of an extent that lies in `[start_ns, end_ns)`, as if its rows were spread evenly over its time."""
    begin, end = bounds_between(start_ns, end_ns)
    return (end - begin) / (pl.col(MAX) + 1 - pl.col(MIN))


def _source(record: TailRecord) -> _Source:
    return record.wal, record.position


def _summed(segments: Sequence[Segment], table: LabelTable, period_ns: int) -> list[pl.DataFrame]:
    """The extents of each segment, found for all of them at once: most are of a few rows."""
    whole = joined(segments, range(len(segments)))
    frame, numbers = whole.frame, table.numbers(whole.streams)
    summed = (
        frame.with_columns(numbers[frame[STREAM]])
        .group_by(ARRIVAL, STREAM, pl.col(TIMESTAMP) // period_ns)
        .agg(
            pl.len().cast(pl.UInt32).alias(ROWS),
            pl.col(TIMESTAMP).min().alias(MIN),
            pl.col(TIMESTAMP).max().alias(MAX),
            text_bytes_of_rows().sum().alias(TEXT_BYTES),
        )
        .select(ARRIVAL, *EXTENT_SCHEMA.names())
        .partition_by(ARRIVAL, as_dict=True, include_key=False)
    )
    return [summed[(record,)] for record in range(len(segments))]
