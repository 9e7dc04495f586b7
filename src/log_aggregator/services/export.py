"""All entries of a log query, however many, in parts that fit in memory.

Each part is a query of its own: it takes a slot among the other queries and has their timeout, so that an export of
days neither starves them nor is cut off.
"""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace

from log_aggregator.clock import Clock
from log_aggregator.engine.order import Direction
from log_aggregator.engine.pipeline import Row
from log_aggregator.logql.ast import LogExpr
from log_aggregator.logql.parser import parse_expr
from log_aggregator.model.limits import Limits
from log_aggregator.services import query_limits
from log_aggregator.services.admission import Admission
from log_aggregator.services.blocked_queries import check_blocked
from log_aggregator.services.cursor import Cursor, cursor_behind, not_given
from log_aggregator.services.log_query import LogQueries, LogQuery, NotALogQuery
from log_aggregator.services.query_context import QueryContext
from log_aggregator.services.tightest_limits import limits_of_all

_SECOND_NS = 1_000_000_000
# What a part aims at: enough that the work of beginning one does not count.
_PART_BYTES = 8 << 20
_FIRST_ROWS, _MAX_ROWS = 1000, 50_000
_ROW_BYTES = 200  # besides the line
_MAX_ENTRIES = 1 << 62
# How much time a part covers follows from how long parts take, far below the timeout of a query.
_FIRST_SPAN_NS = 3600 * _SECOND_NS
_SHORTEST_SPAN_NS = _SECOND_NS
_QUICK_SECONDS, _LONG_SECONDS = 0.5, 5.0


@dataclass(frozen=True, slots=True)
class ExportQuery:
    """Times in nanoseconds, `[start_ns, end_ns)`; `limit` 0 for every entry."""

    text: str
    start_ns: int
    end_ns: int
    direction: Direction
    limit: int = 0


class Exports:
    """Neither `max_entries_limit_per_query` nor `max_query_length` hold: they bound what one answer costs."""

    def __init__(
        self, logs: LogQueries, admission: Admission, limits_of: Callable[[str], Limits], clock: Clock
    ) -> None:
        self._logs = logs
        self._admission = admission
        self._limits_of = limits_of
        self._clock = clock

    def parts(self, tenant: str, query: ExportQuery, context: QueryContext) -> AsyncIterator[Sequence[Row]]:
        """Raises ParseError, NotALogQuery, QueryRefused, QueryBlocked, QueryingDisabled at once; TooManyOutstanding,
        QueryTimeout and what LogQueries raises while it is iterated.
        """
        limits = context.tightened(limits_of_all(self._limits_of, tenant))
        expr = parse_expr(query.text)
        if not isinstance(expr, LogExpr):
            raise NotALogQuery
        query_limits.check_enabled(limits)
        check_blocked(query.text, expr, context.tags, limits)
        query_limits.check_expr(expr, limits)
        start_ns = query_limits.seen_start(query.start_ns, query.end_ns, self._clock.now_ns(), limits)
        seen = replace(query, start_ns=query.end_ns if start_ns is None else start_ns)
        return self._parts(tenant, expr, seen, limits)

    async def _parts(
        self, tenant: str, expr: LogExpr, query: ExportQuery, limits: Limits
    ) -> AsyncIterator[Sequence[Row]]:
        direction, pace, wanted = query.direction, _Pace(), query.limit or _MAX_ENTRIES
        rest = Cursor(direction, query.start_ns, query.end_ns, 0, 0)
        while wanted and rest.start_ns < rest.end_ns:
            part, behind = _split(rest, pace.span_ns)
            limit = part.given + min(pace.rows, wanted)
            begun = time.perf_counter()
            async with query_limits.deadline(limits), self._admission.slot(tenant):
                answer = await self._logs.run(tenant, LogQuery(expr, part.start_ns, part.end_ns, limit, direction))
            rows = not_given(answer.rows, part)
            pace.learn(time.perf_counter() - begun, rows)
            wanted -= len(rows)
            is_full = len(answer.rows) == limit
            rest = cursor_behind(answer.rows, direction, rest.start_ns, rest.end_ns, 0) if is_full else behind
            yield rows


class _Pace:
    """How much is asked for at once."""

    def __init__(self) -> None:
        self.span_ns = _FIRST_SPAN_NS
        self.rows = _FIRST_ROWS

    def learn(self, seconds: float, rows: Sequence[Row]) -> None:
        """From how long a part took and what it held."""
        if seconds < _QUICK_SECONDS:
            self.span_ns *= 2
        elif seconds > _LONG_SECONDS:
            self.span_ns = max(self.span_ns // 2, _SHORTEST_SPAN_NS)
        if rows:
            size = sum(len(row.line) + _ROW_BYTES for row in rows)
            self.rows = max(min(_PART_BYTES * len(rows) // size, _MAX_ROWS), 1)


def _split(rest: Cursor, span_ns: int) -> tuple[Cursor, Cursor]:
    """The next part of what is left, and what is behind it."""
    if rest.direction == "forward":
        middle_ns = min(rest.start_ns + span_ns, rest.end_ns)
        return replace(rest, end_ns=middle_ns), Cursor(rest.direction, middle_ns, rest.end_ns, 0, 0)
    middle_ns = max(rest.end_ns - span_ns, rest.start_ns)
    return replace(rest, start_ns=middle_ns), Cursor(rest.direction, rest.start_ns, middle_ns, 0, 0)
