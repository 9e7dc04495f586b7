"""Turning a stretch of a write-ahead log into chunk and index objects: the commit protocol (docs/architecture.md).

Chunk objects first, then index objects, then one step in Redis that lists the index objects and removes the records.
Every name follows from the position in the log, and what an earlier attempt has already indexed is left out, so that
anyone who holds the lease may do it again after a crash at any point. An index object holds all rows (of its tenant and
period) of the records that its name covers, so that one which lies within another is needless, whoever wrote it.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import polars as pl

from log_aggregator.errors import LogAggregatorError, collected
from log_aggregator.formats.chunk import ChunkOrigin
from log_aggregator.formats.delta import QUICK
from log_aggregator.formats.errors import DAMAGE
from log_aggregator.formats.index import encode_index
from log_aggregator.formats.keys import IndexKey, chunk_key, index_key, parse_index_key
from log_aggregator.formats.wal_record import Columns, RecordHeader, joined_columns
from log_aggregator.model.labels import Labels
from log_aggregator.model.position import Coverage, Position
from log_aggregator.model.segment import ARRIVAL, STREAM, TIMESTAMP
from log_aggregator.services.catalog import IndexCatalog
from log_aggregator.services.chunk_rows import without_duplicates
from log_aggregator.services.chunk_writer import ChunkWriter
from log_aggregator.services.record_memory import memory_bytes
from log_aggregator.storage.store import ObjectStore
from log_aggregator.wal.log import Lease, WriteAheadLogs

logger = logging.getLogger(__name__)

_PERIOD = "period_start_ns"
# Each takes about twice its records' memory while it sorts and compresses.
_CONCURRENT_TENANTS = 4
# Of one tenant. There may be thousands where the past is read in, and a store that takes its time.
_CONCURRENT_PERIODS = 8


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A record of a write-ahead log in memory."""

    position: Position
    tenant: str
    columns: Columns = field(repr=False)
    text_bytes: int
    memory_bytes: int

    @classmethod
    def of(cls, position: Position, header: RecordHeader, columns: Columns) -> "LogRecord":
        text_bytes = header.text_bytes
        return cls(position, header.tenant, columns, text_bytes, memory_bytes(columns, text_bytes))


@dataclass(frozen=True, slots=True)
class WrittenChunk:
    """A chunk object and the index object that names it."""

    index: IndexKey
    entries: int
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class FlushResult:
    """What one flush wrote, and how many entries the records held."""

    chunks: tuple[WrittenChunk, ...]
    entries: int
    commit_seconds: float


@dataclass(frozen=True, slots=True)
class _Flushed:
    """The index objects that hold the rows of a tenant or period, and what of it this flush has written."""

    indexes: tuple[IndexKey, ...]
    written: tuple[WrittenChunk, ...]

    @classmethod
    def together(cls, parts: Iterable["_Flushed"]) -> "_Flushed":
        parts = list(parts)
        return cls(
            tuple(index for part in parts for index in part.indexes),
            tuple(chunk for part in parts for chunk in part.written),
        )


class Flusher:
    """Raises the store's errors, WalUnavailable, Fenced, RecordsLost."""

    def __init__(
        self,
        store: ObjectStore,
        catalog: IndexCatalog,
        logs: WriteAheadLogs,
        period_ns: int,
        *,
        mines_patterns: bool = False,
    ) -> None:
        self._store = store
        self._chunks = ChunkWriter(store, QUICK, mines_patterns=mines_patterns)
        self._catalog = catalog
        self._logs = logs
        self._period_ns = period_ns
        self._slots = asyncio.Semaphore(_CONCURRENT_TENANTS)

    async def flush(self, lease: Lease, records: Sequence[LogRecord]) -> FlushResult:
        """Makes the records durable in the store and removes them from the log.

        They are consecutive, the first one is the oldest in the log, and there is at least one.
        """
        first, last = records[0].position, records[-1].position
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._flush_tenant(lease, tenant, of_tenant, last))
                for tenant, of_tenant in _by_tenant(records)
            ]
        flushed = _Flushed.together(task.result() for task in tasks)
        begun = time.perf_counter()
        await self._logs.commit(lease, first, last, flushed.indexes)
        commit_seconds = time.perf_counter() - begun
        return FlushResult(flushed.written, sum(record.columns.rows for record in records), commit_seconds)

    async def _flush_tenant(self, lease: Lease, tenant: str, records: Sequence[LogRecord], last: Position) -> _Flushed:
        async with self._slots:
            streams, periods = await asyncio.to_thread(_merged, records, self._period_ns)
            span = records[0].position, last
            slots = asyncio.Semaphore(_CONCURRENT_PERIODS)

            async def flushed(period: int, rows: pl.DataFrame) -> _Flushed:
                async with slots:
                    return await self._flush_period(lease, tenant, period, streams, rows, span)

            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(flushed(*one)) for one in periods]
            return _Flushed.together(task.result() for task in tasks)

    async def _flush_period(
        self,
        lease: Lease,
        tenant: str,
        period: int,
        streams: tuple[Labels, ...],
        period_rows: pl.DataFrame,
        span: tuple[Position, Position],
    ) -> _Flushed:
        """The rows of one period among those of the records from the first of the span to the last."""
        first, last = span
        stored = await self._stored(lease, tenant, period, first)
        coverages = [coverage for key in stored for coverage in key.coverages if coverage.wal == lease.wal]
        rows = await asyncio.to_thread(_uncovered, period_rows, coverages) if coverages else period_rows
        if rows.is_empty():
            return _Flushed(tuple(stored), ())
        distinct = await asyncio.to_thread(without_duplicates, rows)
        written = await self._write(tenant, period, streams, distinct, _coverage(lease, rows, last))
        # Those of an attempt that did not come to its commit have to join the lists.
        return _Flushed((*stored, written.index), (written,))

    async def _stored(self, lease: Lease, tenant: str, period: int, first: Position) -> list[IndexKey]:
        """The index objects in the store that hold something of our log from the position on."""
        damage: list[LogAggregatorError] = []
        stored: list[IndexKey] = []
        with collected(damage, *DAMAGE):
            stored = await self._catalog.stored_keys(tenant, period)
        if damage:
            # All tenants' flushes would wait for one object. What it holds already is stored twice, and counts once.
            logger.warning("flushing beside an index object that cannot be read", extra={"error": str(damage[0])})
            stored = await self._catalog.stored_flushes(tenant, period)
        return [
            key
            for key in stored
            if any(coverage.wal == lease.wal and coverage.last >= first for coverage in key.coverages)
        ]

    async def _write(
        self, tenant: str, period: int, streams: tuple[Labels, ...], rows: pl.DataFrame, coverage: Coverage
    ) -> WrittenChunk:
        origin = ChunkOrigin(tenant, period, (coverage,))
        index = await self._chunks.write(chunk_key(tenant, period, coverage, 0), origin, streams, rows)
        key = index_key(tenant, period, *_bounds(rows, TIMESTAMP), coverage)
        await self._store.put(key, await asyncio.to_thread(encode_index, index))
        return WrittenChunk(parse_index_key(key), rows.height, index.chunks[0].size)


def _by_period(frame: pl.DataFrame, period_ns: int) -> list[tuple[int, pl.DataFrame]]:
    """The start of each and its rows, in the order of the periods, of which there is one most of the time."""
    times_ns = frame[TIMESTAMP]
    starts_ns = (times_ns - times_ns % period_ns).alias(_PERIOD)  # of 64 bits: index objects hold no others
    if starts_ns.min() == starts_ns.max():
        return [(starts_ns[0], frame)]
    parts = frame.with_columns(starts_ns).partition_by(_PERIOD, maintain_order=True, as_dict=True, include_key=False)
    return sorted((period, part) for (period,), part in parts.items())


def _uncovered(rows: pl.DataFrame, coverages: Sequence[Coverage]) -> pl.DataFrame:
    """From the first record on that none of the coverages holds, all rows."""
    open_rows = rows
    for coverage in coverages:
        held = pl.col(ARRIVAL).is_between(coverage.first.arrival, coverage.last.arrival)
        open_rows = open_rows.filter(~held)
    if open_rows.is_empty():
        return open_rows
    first, _ = _bounds(open_rows, ARRIVAL)
    return rows.filter(pl.col(ARRIVAL) >= first)


def _by_tenant(records: Iterable[LogRecord]) -> Iterator[tuple[str, list[LogRecord]]]:
    tenants: dict[str, list[LogRecord]] = {}
    for record in records:
        tenants.setdefault(record.tenant, []).append(record)
    yield from sorted(tenants.items())


def _merged(records: Sequence[LogRecord], period_ns: int) -> tuple[tuple[Labels, ...], list[tuple[int, pl.DataFrame]]]:
    """The start and the rows of each period, sorted by stream, time and arrival."""
    whole = joined_columns([record.columns for record in records], [record.position.arrival for record in records])
    frame = whole.frame.sort(STREAM, TIMESTAMP, ARRIVAL, maintain_order=True)
    return whole.streams, _by_period(frame, period_ns)


def _coverage(lease: Lease, rows: pl.DataFrame, last: Position) -> Coverage:
    first, _ = _bounds(rows, ARRIVAL)
    return Coverage(lease.wal, lease.epoch, Position.of_arrival(first), last)


def _bounds(rows: pl.DataFrame, column: str) -> tuple[int, int]:
    values = rows[column]
    return values.min(), values.max()  # type: ignore[return-value]
