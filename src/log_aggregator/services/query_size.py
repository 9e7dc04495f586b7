"""How much a query would read, held against the tenant's limit before anything is read."""

from collections.abc import Sequence

from log_aggregator.logql.ast import Expr, LogExpr, Matcher
from log_aggregator.logql.leaves import leaves_of
from log_aggregator.model.limits import Limits
from log_aggregator.model.quantity import format_size
from log_aggregator.model.tenants import TENANT_LABEL, tenants_of
from log_aggregator.services.extents import Extents, StreamExtents
from log_aggregator.services.index_stats import index_stats
from log_aggregator.services.query_limits import QueryRefused

_Part = tuple[tuple[Matcher, ...], int, int]
"""A selector and its range in nanoseconds, the end excluded."""


async def check_size(
    extents: StreamExtents, tenant: str, expr: Expr, start_ns: int, end_ns: int, limits: Limits
) -> None:
    """Raises QueryRefused, and what StreamExtents raises. Costs a look at the index, and nothing without a limit."""
    allowed = limits.max_query_bytes_read
    if not allowed:
        return
    size = sum([await text_bytes(extents, tenant, *part) for part in _parts(expr, start_ns, end_ns)])
    if size > allowed:
        raise QueryRefused(
            f"the query would read too many bytes (query: {_rounded(size)}, limit: {format_size(allowed)}); consider "
            "adding more specific stream selectors or reduce the time range of the query",
            "max_query_bytes_read",
        )


async def text_bytes(
    extents: StreamExtents, tenant: str, selector: Sequence[Matcher], start_ns: int, end_ns: int
) -> int:
    """Bytes of the lines and metadata that the selector's streams have in `[start_ns, end_ns)`, as the index tells."""
    # The index knows no label of the tenant.
    known = [matcher for matcher in selector if matcher.name != TENANT_LABEL]

    def ask(found: Extents) -> int:
        return index_stats(found, start_ns, end_ns, known).text_bytes

    return sum([await extents.ask(one, start_ns, end_ns, ask) for one in tenants_of(tenant)])


def _parts(expr: Expr, start_ns: int, end_ns: int) -> list[_Part]:
    if isinstance(expr, LogExpr):
        return [(expr.matchers, start_ns, end_ns)]
    return [
        (leaf.range.log.matchers, start_ns - leaf.range.range_ns - leaf.range.offset_ns, end_ns - leaf.range.offset_ns)
        for leaf in dict.fromkeys(leaves_of(expr))
    ]


def _rounded(size: int) -> str:
    """In the largest unit that leaves at least 1."""
    for shift, unit in ((40, "TB"), (30, "GB"), (20, "MB"), (10, "KB")):
        if size >> shift:
            return f"{round(size / (1 << shift), 1):g}{unit}"
    return f"{size}B"
