"""Queries from their text to their answer: parsed, held against the tenant's limits, run before a deadline.

The tenant may stand for several (`model.tenants`).
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from log_aggregator.clock import Clock
from log_aggregator.engine.metric import is_sorted
from log_aggregator.engine.order import Direction
from log_aggregator.engine.pipeline import Row
from log_aggregator.engine.steps import Steps
from log_aggregator.engine.vector import Vector
from log_aggregator.logql.ast import Expr, LogExpr, MetricExpr, NumberLiteral
from log_aggregator.logql.leaves import leaves_of
from log_aggregator.model.limits import Limits
from log_aggregator.services import query_limits
from log_aggregator.services.admission import Admission
from log_aggregator.services.blocked_queries import check_blocked
from log_aggregator.services.cursor import Cursor, cursor_behind, not_given
from log_aggregator.services.extents import StreamExtents
from log_aggregator.services.log_query import LogQueries, LogQuery
from log_aggregator.services.metric_query import MetricQueries
from log_aggregator.services.parsing import parsed
from log_aggregator.services.query_context import NO_CONTEXT, QueryContext
from log_aggregator.services.query_limits import QueryRefused, deadline
from log_aggregator.services.query_size import check_size
from log_aggregator.services.statistics import ScanStatistics
from log_aggregator.services.tightest_limits import limits_of_all

_SECOND_NS = 1_000_000_000
# How far back an instant log query looks, which Loki refuses and its older versions answered.
_INSTANT_LOGS_NS = 3600 * _SECOND_NS


@dataclass(frozen=True, slots=True)
class RangeQuery:
    """Times in nanoseconds, `[start_ns, end_ns)` for logs; `interval_ns` 0 for every entry.

    With the cursor of an earlier page, the range is what that page left.
    """

    text: str
    start_ns: int
    end_ns: int
    step_ns: int
    limit: int
    direction: Direction
    interval_ns: int
    cursor: Cursor | None = None


@dataclass(frozen=True, slots=True)
class InstantQuery:
    text: str
    time_ns: int
    limit: int
    direction: Direction


@dataclass(frozen=True, slots=True)
class Streams:
    """Entries in the order of the query's direction. With a `following` cursor there may be more of them."""

    rows: Sequence[Row] = field(repr=False)
    statistics: ScanStatistics
    following: Cursor | None = None


@dataclass(frozen=True, slots=True)
class Matrix:
    """One vector a step."""

    vectors: list[Vector] = field(repr=False)
    steps: Steps
    statistics: ScanStatistics


@dataclass(frozen=True, slots=True)
class InstantVector:
    vector: Vector = field(repr=False)
    time_ns: int
    statistics: ScanStatistics


@dataclass(frozen=True, slots=True)
class Scalar:
    value: float
    time_ns: int


Answer = Streams | Matrix | InstantVector | Scalar


class Queries:
    """Raises ParseError, QueryRefused, QueryBlocked, QueryingDisabled, TooManyOutstanding, QueryTimeout, and what
    `LogQueries`, `MetricQueries` and `StreamExtents` raise.
    """

    def __init__(
        self,
        logs: LogQueries,
        metrics: MetricQueries,
        extents: StreamExtents,
        admission: Admission,
        limits_of: Callable[[str], Limits],
        clock: Clock,
        *,
        allow_instant_logs: bool,
    ) -> None:
        self._logs = logs
        self._metrics = metrics
        self._extents = extents
        self._admission = admission
        self._limits_of = limits_of
        self._clock = clock
        self._allow_instant_logs = allow_instant_logs

    async def range(self, tenant: str, query: RangeQuery, context: QueryContext = NO_CONTEXT) -> Streams | Matrix:
        expr, limits = await self._allowed(tenant, query.text, context)
        if isinstance(expr, LogExpr):
            query_limits.check_entries(query.limit, limits)
        start_ns = query_limits.seen_start(query.start_ns, query.end_ns, self._clock.now_ns(), limits)
        if start_ns is None:
            return _no_streams() if isinstance(expr, LogExpr) else _no_series(query.end_ns)
        query_limits.check_length(expr, start_ns, query.end_ns, query.step_ns, limits)
        async with self._admitted(tenant, expr, limits):
            await check_size(self._extents, tenant, expr, start_ns, query.end_ns, limits)
            if isinstance(expr, LogExpr):
                return await self._range_logs(tenant, expr, query, start_ns)
            steps = Steps.aligned(start_ns, query.end_ns, query.step_ns)
            return await self._matrix(tenant, expr, steps, limits, context)

    async def instant(self, tenant: str, query: InstantQuery, context: QueryContext = NO_CONTEXT) -> Answer:
        expr, limits = await self._allowed(tenant, query.text, context)
        async with self._admitted(tenant, expr, limits):
            if isinstance(expr, LogExpr):
                return await self._instant_logs(tenant, expr, query, limits)
            if isinstance(expr, NumberLiteral):
                return Scalar(expr.value, query.time_ns)
            if query_limits.seen_start(query.time_ns, query.time_ns, self._clock.now_ns(), limits) is None:
                return InstantVector([], query.time_ns, ScanStatistics())
            query_limits.check_instant(expr, limits)
            await check_size(self._extents, tenant, expr, query.time_ns, query.time_ns, limits)
            answer = await self._matrix(tenant, expr, Steps.at(query.time_ns), limits, context)
            vector = answer.vectors[0] if is_sorted(expr) else sorted(answer.vectors[0])
            return InstantVector(vector, query.time_ns, answer.statistics)

    async def _allowed(self, tenant: str, text: str, context: QueryContext) -> tuple[Expr, Limits]:
        """The parsed query and the limits that hold for it. Raises what is wrong with it, whatever its range."""
        limits = context.tightened(limits_of_all(self._limits_of, tenant))
        expr = await parsed(text)
        query_limits.check_enabled(limits)
        check_blocked(text, expr, context.tags, limits)
        query_limits.check_expr(expr, limits)
        return expr, limits

    @asynccontextmanager
    async def _admitted(self, tenant: str, expr: Expr, limits: Limits) -> AsyncIterator[None]:
        """Waits for a slot, which counts towards the timeout. What reads nothing, as a health check, does not wait."""
        async with deadline(limits):
            if isinstance(expr, LogExpr) or any(leaves_of(expr)):
                async with self._admission.slot(tenant):
                    yield
            else:
                yield

    async def _range_logs(self, tenant: str, expr: LogExpr, query: RangeQuery, start_ns: int) -> Streams:
        limit = query.limit + (query.cursor.given if query.cursor else 0)
        found = await self._run_logs(
            tenant, LogQuery(expr, start_ns, query.end_ns, limit, query.direction, query.interval_ns)
        )
        rows = not_given(found.rows, query.cursor) if query.cursor else found.rows
        if len(found.rows) < limit:
            return Streams(rows, found.statistics)
        following = cursor_behind(found.rows, query.direction, query.start_ns, query.end_ns, query.interval_ns)
        return Streams(rows, found.statistics, following)

    async def _instant_logs(self, tenant: str, expr: LogExpr, query: InstantQuery, limits: Limits) -> Streams:
        if not self._allow_instant_logs:
            raise QueryRefused(
                "log queries are not supported as an instant query type, please change your query to a range query type"
            )
        query_limits.check_entries(query.limit, limits)
        first_ns, end_ns = query.time_ns - _INSTANT_LOGS_NS + 1, query.time_ns + 1
        start_ns = query_limits.seen_start(first_ns, query.time_ns, self._clock.now_ns(), limits)
        if start_ns is None:
            return _no_streams()
        await check_size(self._extents, tenant, expr, start_ns, end_ns, limits)
        return await self._run_logs(tenant, LogQuery(expr, start_ns, end_ns, query.limit, query.direction))

    async def _run_logs(self, tenant: str, query: LogQuery) -> Streams:
        if query.end_ns <= query.start_ns:
            return _no_streams()
        answer = await self._logs.run(tenant, query)
        return Streams(answer.rows, answer.statistics)

    async def _matrix(
        self, tenant: str, expr: MetricExpr, steps: Steps, limits: Limits, context: QueryContext
    ) -> Matrix:
        most = limits.max_query_series
        answer = await self._metrics.run(tenant, expr, steps, fresh=context.no_cache, most_series=most)
        query_limits.check_series(answer.vectors, limits)
        return Matrix(answer.vectors, steps, answer.statistics)


def _no_streams() -> Streams:
    return Streams([], ScanStatistics())


def _no_series(time_ns: int) -> Matrix:
    return Matrix([[]], Steps.at(time_ns), ScanStatistics())
