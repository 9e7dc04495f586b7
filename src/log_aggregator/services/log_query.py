"""Log queries: a scan in time order, the pipeline on the rows that survive the columnar filters, until the limit."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import polars as pl

from log_aggregator.engine.batch import Batch
from log_aggregator.engine.log_plan import plan_log
from log_aggregator.engine.log_rows import RowChooser
from log_aggregator.engine.order import Direction
from log_aggregator.engine.pipeline import Pipeline, Row, compile_pipeline
from log_aggregator.engine.query_memory import ROW_BYTES, QueryMemory
from log_aggregator.engine.selector import Selector
from log_aggregator.engine.skip_filter import needles_of
from log_aggregator.errors import ErrorCode, LogAggregatorError
from log_aggregator.formats.metadata import parse_metadata
from log_aggregator.logql.ast import LogExpr
from log_aggregator.model.labels import Labels
from log_aggregator.model.segment import LINE, METADATA, STREAM, TIMESTAMP
from log_aggregator.services.scan import Scanner
from log_aggregator.services.statistics import ScanStatistics
from log_aggregator.services.units import Scan

_HELD_AT_ONCE_BYTES = 1 << 20
_ROWS_AT_ONCE = 1000
_COPIES = 3  # of a line: as it was read, as it is answered, and in the text of the answer


class NotALogQuery(LogAggregatorError):
    """An expression that computes something, where only entries make sense."""

    code: ClassVar[ErrorCode] = ErrorCode.INVALID

    def __init__(self) -> None:
        super().__init__("only log selector is supported")


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Times in nanoseconds, `end_ns` exclusive; `interval_ns` 0 for every entry."""

    expr: LogExpr
    start_ns: int
    end_ns: int
    limit: int
    direction: Direction
    interval_ns: int = 0


@dataclass(frozen=True, slots=True)
class LogAnswer:
    """Rows in the order of the query's direction."""

    rows: list[Row] = field(repr=False)
    statistics: ScanStatistics


class LogQueries:
    """Raises the store's errors, WalUnavailable, CorruptData, QueryTooLarge.

    Without `columnar`, every entry goes through the row-wise stages; the answers are the same. `memory_bytes` are what
    one query may hold, 0 for no limit.
    """

    def __init__(self, scanner: Scanner, *, columnar: bool = True, memory_bytes: int = 0) -> None:
        self._scanner = scanner
        self._columnar = columnar
        self._memory_bytes = memory_bytes

    async def run(self, tenant: str, query: LogQuery) -> LogAnswer:
        statistics = ScanStatistics()
        if not self._columnar:
            pipeline = compile_pipeline(query.expr.stages)
            return LogAnswer((await self._run(tenant, query, statistics, None, pipeline)).rows, statistics)
        plan = plan_log(query.expr)  # which takes about as long as its text took to be parsed
        chooser = RowChooser(plan, query.direction, None if query.interval_ns else query.limit)
        chosen = await self._run(tenant, query, statistics, chooser, plan.pipeline)
        if not chosen.full and chooser.has_cut:
            # Duplicates took the place of entries that were left out: once more, with all of them.
            chooser = RowChooser(plan, query.direction, None)
            chosen = await self._run(tenant, query, statistics, chooser, plan.pipeline)
        return LogAnswer(chosen.rows, statistics)

    async def _run(
        self,
        tenant: str,
        query: LogQuery,
        statistics: ScanStatistics,
        chooser: RowChooser | None,
        pipeline: Pipeline,
    ) -> "_Chosen":
        accepts, needles = Selector(query.expr.matchers), needles_of(query.expr.stages)
        memory = QueryMemory(self._memory_bytes)
        scan = Scan(tenant, query.start_ns, query.end_ns, accepts, needles=needles, memory=memory)
        chosen = _Chosen(query, memory)
        async for batch in self._scanner.ordered(scan, query.direction, statistics, chooser):
            await asyncio.to_thread(chosen.take, batch, pipeline)
            if chosen.full:
                break
        return chosen


class _Chosen:
    """The rows of the answer so far. `take` raises QueryTooLarge."""

    def __init__(self, query: LogQuery, memory: QueryMemory) -> None:
        self._query = query
        self._memory = memory
        self._first: tuple[Labels, Row] | None = None  # of those of one time
        self._moment: set[tuple[Labels, str, Labels]] = set()  # empty while there is only the first
        self.rows: list[Row] = []

    @property
    def full(self) -> bool:
        return len(self.rows) >= self._query.limit

    def take(self, batch: Batch, pipeline: Pipeline) -> None:
        rows, limit, interval_ns = self.rows, self._query.limit, self._query.interval_ns
        held_bytes = 0
        for stream, row in _processed(batch, pipeline):
            if interval_ns and rows and abs(row.timestamp_ns - rows[-1].timestamp_ns) < interval_ns:
                continue
            if self._first is None or self._first[1].timestamp_ns != row.timestamp_ns:
                self._first = stream, row
                if self._moment:
                    self._moment = set()
            elif self._repeats(stream, row):
                continue
            held_bytes += ROW_BYTES + _COPIES * len(row.line)
            if held_bytes > _HELD_AT_ONCE_BYTES:
                self._memory.hold("entries", held_bytes)
                held_bytes = 0
            rows.append(row)
            if len(rows) >= limit:
                break
        self._memory.hold("entries", held_bytes)

    def _repeats(self, stream: Labels, row: Row) -> bool:
        """Whether the stages have made the entry equal to one of its stream and time: those count once, as in Loki."""
        if not self._moment and self._first is not None:
            self._moment.add(_identity(*self._first))
        before = len(self._moment)
        self._moment.add(_identity(stream, row))
        return len(self._moment) == before


def _identity(stream: Labels, row: Row) -> tuple[Labels, str, Labels]:
    return stream, row.line, row.labels()


def _processed(batch: Batch, pipeline: Pipeline) -> Iterator[tuple[Labels, Row]]:
    """What passes, with the stream that it came from."""
    known: dict[tuple[int, str], Row] = {}
    for stream, timestamp_ns, line, metadata in _values(batch.frame):
        like = known.get((stream, metadata))
        if like is not None:
            row = pipeline.process_like(like, timestamp_ns, line)
        else:
            row = pipeline.process(timestamp_ns, line, batch.streams[stream], parse_metadata(metadata))
            if row is not None and pipeline.filters_only:
                known[stream, metadata] = row
        if row is not None:
            yield batch.streams[stream], row


def _values(frame: pl.DataFrame) -> Iterator[tuple[int, int, str, str]]:
    """Stream, time, line and metadata of each row: `iter_rows` takes three times as long."""
    for part in frame.iter_slices(_ROWS_AT_ONCE):
        yield from zip(*(part[name].to_list() for name in (STREAM, TIMESTAMP, LINE, METADATA)), strict=True)
