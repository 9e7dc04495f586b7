"""Live tails: the newest entries that a log query finds, and then each one as it arrives."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import ClassVar

import polars as pl
import xxhash
from prometheus_client import CollectorRegistry, Counter, Gauge

from log_aggregator.clock import Clock, timeout
from log_aggregator.engine.batch import Batch
from log_aggregator.engine.columnar import push_line_filters
from log_aggregator.engine.pipeline import Row, compile_pipeline
from log_aggregator.engine.selector import Selector
from log_aggregator.errors import ErrorCode, LogAggregatorError
from log_aggregator.formats.metadata import parse_metadata
from log_aggregator.logql.ast import Expr, LogExpr
from log_aggregator.model.labels import Labels
from log_aggregator.model.limits import Limits
from log_aggregator.model.segment import LINE, METADATA, STREAM, TIMESTAMP
from log_aggregator.services import query_limits
from log_aggregator.services.follower import Follower
from log_aggregator.services.log_query import NotALogQuery
from log_aggregator.services.query_limits import deadline
from log_aggregator.services.scan import Scanner
from log_aggregator.services.statistics import ScanStatistics
from log_aggregator.services.units import Scan

_SECOND_NS = 1_000_000_000
# What a slow reader may leave waiting. More is dropped, and the reader is told of it.
_MAX_WAITING_ROWS = 10_000
_MAX_WAITING_BYTES = 8 << 20
_MAX_DROPPED = 1_000
_ROWS_PER_FRAME = 1_000
_BYTES_PER_FRAME = 256 << 10  # but for the last row's; some clients take no frame of more than a megabyte
_ROW_BYTES = 400  # beside its text
# Entries that are remembered to be shown once. More than arrive while the past is being read, and more than any limit.
_REMEMBERED = 65_536


class TailEnded(LogAggregatorError):
    """The tail may not begin, or not go on."""

    code: ClassVar[ErrorCode] = ErrorCode.RATE_LIMITED


@dataclass(frozen=True, slots=True)
class TailQuery:
    """From `start_ns` on, but of the past no more than `limit` entries. Each entry is held back for a while."""

    expr: Expr
    start_ns: int
    limit: int
    delay_seconds: int


@dataclass(frozen=True, slots=True)
class Frame:
    """Rows in order of time, and streams and times of entries that were dropped since the last frame."""

    rows: list[Row] = field(repr=False)
    dropped: list[tuple[Labels, int]] = field(repr=False)


class LiveTailMetrics:
    """Of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.active = Gauge("loki_querier_tail_active", "Live tails that are connected", registry=registry)
        self.text_bytes = Counter(
            "loki_querier_tail_bytes_total", "Bytes of lines sent to live tails", registry=registry
        )


class LiveTails:
    """Those of one process; `max_concurrent_tail_requests` counts them alone."""

    def __init__(
        self,
        follower: Follower,
        scanner: Scanner,
        limits_of: Callable[[str], Limits],
        clock: Clock,
        metrics: LiveTailMetrics,
        max_duration_ns: int,
    ) -> None:
        self._follower = follower
        self._scanner = scanner
        self._limits_of = limits_of
        self._clock = clock
        self._metrics = metrics
        self._max_duration_ns = max_duration_ns
        self._running: dict[str, int] = {}

    async def run(self, tenant: str, query: TailQuery, send: Callable[[Frame], Awaitable[None]]) -> None:
        """Until cancelled. Raises NotALogQuery, QueryRefused, TailEnded, and what reading the past raises."""
        if not isinstance(query.expr, LogExpr):
            raise NotALogQuery
        limits = self._limits_of(tenant)
        query_limits.check_expr(query.expr, limits)
        query_limits.check_entries(query.limit, limits)
        running, allowed = self._running.get(tenant, 0), limits.max_concurrent_tail_requests
        if 0 < allowed <= running:
            raise TailEnded(f"max concurrent tail requests limit exceeded, count > limit ({running + 1} > {allowed})")
        self._running[tenant] = running + 1
        self._metrics.active.inc()
        try:
            async with timeout(self._max_duration_ns / _SECOND_NS if self._max_duration_ns else None):
                await self._run(tenant, query.expr, query, send, limits)
        except TimeoutError as expired:
            raise TailEnded("reached tail max duration limit") from expired
        finally:
            self._metrics.active.dec()
            self._running[tenant] -= 1
            if not self._running[tenant]:
                del self._running[tenant]

    async def _run(
        self, tenant: str, expr: LogExpr, query: TailQuery, send: Callable[[Frame], Awaitable[None]], limits: Limits
    ) -> None:
        selected = _Selected(expr)
        waiting = _Waiting(self._clock, query.delay_seconds)

        async def take(batch: Batch) -> None:
            # Room is looked for at the beginning: the reader makes more of it meanwhile, never less.
            try:
                waiting.add(*await asyncio.to_thread(selected.take, batch, waiting.rows_free, waiting.bytes_free))
            except Exception as error:
                waiting.fail(error)  # this tail ends, not those of others that the follower serves as well

        async def send_counted(frame: Frame) -> None:
            await send(frame)
            self._metrics.text_bytes.inc(sum(len(row.line) for row in frame.rows))

        async with self._follower.listening(tenant, take):
            async with deadline(limits):
                past = await self._past(tenant, query, selected)
            if past:
                await send_counted(Frame(past, []))
            async for frame in waiting.frames():
                await send_counted(frame)

    async def _past(self, tenant: str, query: TailQuery, selected: "_Selected") -> list[Row]:
        end_ns = self._clock.now_ns() + self._limits_of(tenant).creation_grace_period
        scan = Scan(tenant, query.start_ns, end_ns, selected.accepts, selected.predicate)
        rows: list[Row] = []
        async for batch in self._scanner.ordered(scan, "backward", ScanStatistics()):
            await asyncio.to_thread(selected.take_newest, batch, query.limit, rows)
            if len(rows) >= query.limit:
                break
        return rows[::-1]


class _Selected:
    """The rows that the query wants, each once. `take` runs in a thread, one at a time."""

    def __init__(self, expr: LogExpr) -> None:
        pushed = push_line_filters(expr.stages)
        self.accepts = Selector(expr.matchers)
        self.predicate = pushed.predicate
        self._pipeline = compile_pipeline(pushed.rest)
        self._shown: OrderedDict[bytes, None] = OrderedDict()

    def take(self, batch: Batch, rows_free: int, bytes_free: int) -> tuple[list[Row], list[tuple[Labels, int]]]:
        """The rows that there is room for, and what is dropped."""
        numbers = [number for number, labels in enumerate(batch.streams) if self.accepts(labels)]
        frame = batch.frame.filter(pl.col(STREAM).is_in(numbers))
        if self.predicate is not None:
            frame = frame.filter(self.predicate)
        rows: list[Row] = []
        dropped: list[tuple[Labels, int]] = []
        for stream, timestamp_ns, line, metadata in frame.select(STREAM, TIMESTAMP, LINE, METADATA).iter_rows():
            if len(rows) >= rows_free or bytes_free <= 0:
                if len(dropped) < _MAX_DROPPED:
                    dropped.append((batch.streams[stream], timestamp_ns))
                continue
            row = self._new_row(batch.streams[stream], timestamp_ns, line, metadata)
            if row is not None:
                rows.append(row)
                bytes_free -= _size_bytes(row)
        return rows, dropped

    def take_newest(self, batch: Batch, limit: int, rows: list[Row]) -> None:
        """Of a batch that is ordered backward, until there are as many rows as the limit."""
        for stream, timestamp_ns, line, metadata in batch.frame.select(STREAM, TIMESTAMP, LINE, METADATA).iter_rows():
            if len(rows) >= limit:
                return
            row = self._new_row(batch.streams[stream], timestamp_ns, line, metadata)
            if row is not None:
                rows.append(row)

    def _new_row(self, stream: Labels, timestamp_ns: int, line: str, metadata: str) -> Row | None:
        row = self._pipeline.process(timestamp_ns, line, stream, parse_metadata(metadata))
        if row is None:
            return None
        # Lines may be long, and so many are remembered.
        key = xxhash.xxh3_128_digest(repr((stream, timestamp_ns, line, metadata)).encode())
        if key in self._shown:
            return None
        self._shown[key] = None
        if len(self._shown) > _REMEMBERED:
            self._shown.popitem(last=False)
        return row


class _Waiting:
    """Rows that are to be sent, in bounded memory."""

    def __init__(self, clock: Clock, delay_seconds: int) -> None:
        self._clock = clock
        self._delay_seconds = delay_seconds
        self._rows: deque[tuple[float, Row]] = deque()
        self._bytes = 0
        self._dropped: list[tuple[Labels, int]] = []
        self._added = asyncio.Event()
        self._failure: Exception | None = None

    @property
    def rows_free(self) -> int:
        return _MAX_WAITING_ROWS - len(self._rows)

    @property
    def bytes_free(self) -> int:
        return _MAX_WAITING_BYTES - self._bytes

    def add(self, rows: list[Row], dropped: list[tuple[Labels, int]]) -> None:
        due_seconds = self._clock.monotonic_seconds() + self._delay_seconds
        self._rows.extend((due_seconds, row) for row in rows)
        self._bytes += sum(map(_size_bytes, rows))
        self._dropped += dropped[: _MAX_DROPPED - len(self._dropped)]
        if rows or dropped:
            self._added.set()

    def fail(self, error: Exception) -> None:
        self._failure = error
        self._added.set()

    async def frames(self) -> AsyncIterator[Frame]:
        """Raises what `fail` was called with."""
        while True:
            await self._added.wait()
            if self._failure is not None:
                raise self._failure
            if self._rows and self._delay_seconds:
                await self._clock.sleep(max(0.0, self._rows[0][0] - self._clock.monotonic_seconds()))
            frame = self._next_frame()
            if frame.rows or frame.dropped:
                yield frame

    def _next_frame(self) -> Frame:
        now_seconds = self._clock.monotonic_seconds()
        rows: list[Row] = []
        enough_bytes = self._bytes - _BYTES_PER_FRAME
        while self._rows and len(rows) < _ROWS_PER_FRAME and self._rows[0][0] <= now_seconds:
            row = self._rows.popleft()[1]
            self._bytes -= _size_bytes(row)
            rows.append(row)
            if self._bytes <= enough_bytes:
                break
        dropped, self._dropped = self._dropped, []
        if not self._rows:
            self._added.clear()
        return Frame(sorted(rows, key=lambda row: row.timestamp_ns), dropped)


def _size_bytes(row: Row) -> int:
    return len(row.line) + _ROW_BYTES
