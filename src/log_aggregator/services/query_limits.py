"""What a tenant may ask for. Messages are Loki's."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import ClassVar

from log_aggregator.clock import timeout
from log_aggregator.engine.query_memory import TooManySeries
from log_aggregator.engine.steps import Steps
from log_aggregator.engine.vector import Vector
from log_aggregator.errors import ErrorCode, LogAggregatorError
from log_aggregator.logql.ast import Expr, LogExpr, Matcher, MetricExpr
from log_aggregator.logql.leaves import leaves_of
from log_aggregator.logql.units import format_prometheus_duration
from log_aggregator.model.limits import Limits
from log_aggregator.model.quantity import format_duration
from log_aggregator.services.instant_splits import is_split

MAX_STEPS = 11_000
MILLISECOND_NS = 1_000_000
_SECOND_NS = 1_000_000_000
_LONGEST_NS = 2**63 - 1  # that a duration of Go's can be


class QueryRefused(LogAggregatorError):
    """The query asks for more than a limit allows: `limit` is its key, where the message does not name it."""

    code: ClassVar[ErrorCode] = ErrorCode.INVALID

    def __init__(self, message: str, limit: str = "") -> None:
        super().__init__(message)
        self.limit = limit


class QueryingDisabled(LogAggregatorError):
    """The operator has turned queries off for this tenant."""

    code: ClassVar[ErrorCode] = ErrorCode.RATE_LIMITED

    def __init__(self) -> None:
        super().__init__("querying is disabled, please contact your Loki operator")


class QueryTimeout(LogAggregatorError):
    code: ClassVar[ErrorCode] = ErrorCode.TIMEOUT

    def __init__(self) -> None:
        super().__init__(
            "request timed out, decrease the duration of the request or add more label matchers (prefer exact match "
            "over regex match) to reduce the amount of data processed"
        )


@asynccontextmanager
async def deadline(limits: Limits) -> AsyncIterator[None]:
    """Raises QueryTimeout when the block takes longer than `query_timeout`."""
    try:
        async with timeout(limits.query_timeout / _SECOND_NS if limits.query_timeout else None):
            yield
    except TimeoutError as expired:
        raise QueryTimeout from expired


def check_enabled(limits: Limits) -> None:
    """Raises QueryingDisabled. A parallelism of 0 is how Loki's operators turn queries off."""
    if min(limits.max_query_parallelism, limits.tsdb_max_query_parallelism) < 1:
        raise QueryingDisabled


def check_entries(limit: int, limits: Limits) -> None:
    allowed = limits.max_entries_limit_per_query
    if 0 < allowed < limit:
        raise QueryRefused(
            f"max entries limit per query exceeded, limit > max_entries_limit_per_query ({limit} > {allowed})"
        )


def check_resolution(start_ns: int, end_ns: int, step_ns: int) -> None:
    if (end_ns - start_ns) // step_ns > MAX_STEPS:
        raise QueryRefused(
            "exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step "
            "parameter"
        )


def check_length(expr: Expr, start_ns: int, end_ns: int, step_ns: int, limits: Limits) -> None:
    """The time that a range query is for; and what Loki looks at at once, which is one split and its widest window.

    A split is as long as the window where that is longer than `split_queries_by_interval`.
    """
    check_span(start_ns, end_ns, limits)
    if isinstance(expr, LogExpr):
        return
    widest_ns = max((leaf.range.range_ns for leaf in leaves_of(expr)), default=0)
    if not widest_ns:
        return
    steps = Steps.aligned(start_ns, end_ns, step_ns)
    span_ns = steps.last_ns - steps.first_ns
    if limits.split_queries_by_interval:
        span_ns = min(span_ns, max(limits.split_queries_by_interval, widest_ns, step_ns))
    _check_windows(span_ns + widest_ns, limits)


def check_instant(expr: MetricExpr, limits: Limits) -> None:
    """The widest window of an instant query that Loki does not split."""
    if not is_split(expr):
        _check_windows(max((leaf.range.range_ns for leaf in leaves_of(expr)), default=0), limits)


def _check_windows(length_ns: int, limits: Limits) -> None:
    """Windows have no start of their own: Loki counts from the nanosecond before, and may not be at the limit."""
    at_limit = length_ns == limits.max_query_length
    _check_length(length_ns + at_limit, limits)


def check_span(start_ns: int, end_ns: int, limits: Limits, unit_ns: int = MILLISECOND_NS) -> None:
    """Between the whole units in which the bounds lie."""
    _check_length((end_ns // unit_ns - start_ns // unit_ns) * unit_ns, limits)


def _check_length(length_ns: int, limits: Limits) -> None:
    allowed = limits.max_query_length
    if 0 < allowed < length_ns:
        raise QueryRefused(
            f"the query time range exceeds the limit (query length: {format_duration(min(length_ns, _LONGEST_NS))}, "
            f"limit: {format_prometheus_duration(allowed)})",
            "max_query_length",
        )


def check_expr(expr: Expr, limits: Limits) -> None:
    """Matchers that each selector must have, and the widest window."""
    for matchers in _selectors(expr):
        check_matchers(matchers, limits)
    if isinstance(expr, LogExpr) or not limits.max_query_range:
        return
    for leaf in leaves_of(expr):
        if leaf.range.range_ns > limits.max_query_range:
            raise QueryRefused(
                f"[interval] value exceeds limit: [{format_prometheus_duration(leaf.range.range_ns)}] > "
                f"[{format_prometheus_duration(limits.max_query_range)}]",
                "max_query_range",
            )


def _selectors(expr: Expr) -> list[tuple[Matcher, ...]]:
    if isinstance(expr, LogExpr):
        return [expr.matchers]
    return [leaf.range.log.matchers for leaf in leaves_of(expr)]


def check_matchers(matchers: Sequence[Matcher], limits: Limits) -> None:
    allowed = limits.max_streams_matchers_per_query
    if 0 < allowed < len(matchers):
        raise QueryRefused(
            f"max streams matchers per query exceeded, matchers-count > limit ({len(matchers)} > {allowed})",
            "max_streams_matchers_per_query",
        )
    names = [matcher.name for matcher in matchers]
    missing = [name for name in limits.required_labels if name not in names]
    if missing:
        raise QueryRefused(
            f"stream selector is missing required matchers [{', '.join(missing)}], "
            f"labels present in the query were [{', '.join(names)}]",
            "required_labels",
        )
    if len(matchers) < limits.minimum_labels_number:
        raise QueryRefused(
            f"stream selector has less label matchers than required: (present: [{', '.join(names)}], "
            f"number_present: {len(matchers)}, required_number_label_matchers: {limits.minimum_labels_number})",
            "minimum_labels_number",
        )


def check_series(vectors: list[Vector], limits: Limits) -> None:
    """Raises TooManySeries."""
    allowed = limits.max_query_series
    if not allowed or sum(map(len, vectors)) <= allowed:
        return
    if len({sample.labels for vector in vectors for sample in vector}) > allowed:
        raise TooManySeries(allowed)


def check_order(start_ns: int, end_ns: int) -> None:
    """Loki takes a range that ends before it starts for one that a look-back of 0 cut."""
    if end_ns < start_ns:
        raise QueryRefused("this data is no longer available, it is past now - max_query_lookback (0s)")


def seen_start(start_ns: int, end_ns: int, now_ns: int, limits: Limits) -> int | None:
    """The start that `max_query_lookback` leaves of a range, its end included; None where nothing is left."""
    if not limits.max_query_lookback:
        return start_ns
    oldest_ns = now_ns - limits.max_query_lookback
    return None if end_ns < oldest_ns else max(start_ns, oldest_ns)
