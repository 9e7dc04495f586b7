import asyncio

import pytest

from log_aggregator.logql.ast import LogExpr
from log_aggregator.logql.parser import parse_expr
from log_aggregator.model.limits import Limits
from log_aggregator.services.query_limits import QueryRefused, QueryTimeout, check_instant, check_length, deadline

HOUR_NS = 3600 * 1_000_000_000


async def test_query_is_ended_at_its_timeout() -> None:
    with pytest.raises(QueryTimeout, match="request timed out, decrease the duration of the request"):
        async with deadline(Limits(query_timeout=1)):
            await asyncio.Event().wait()


async def test_no_timeout_is_no_deadline() -> None:
    async with deadline(Limits(query_timeout=0)):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("query", "hours", "step_hours", "seen"),
    [
        ('{app="x"}', 720, 1, None),
        ('{app="x"}', 721, 1, "721h0m0s"),
        ("vector(1)", 720, 1, None),
        ('rate({app="x"}[1h])', 720, 1, None),
        ('rate({app="x"}[1d])', 720, 1, None),
        ('rate({app="x"}[1h])', 721, 1, "721h0m0s"),
        # What is looked at at once: a window, and as long a split, or all of a shorter query; or one step.
        ('rate({app="x"}[20d])', 2, 1, None),
        ('rate({app="x"}[40d])', 2, 1, "962h0m0s"),
        ('rate({app="x"}[20d])', 720, 1, "960h0m0s"),
        ('rate({app="x"}[30d])', 0, 1, "720h0m0.000000001s"),
        ('rate({app="x"}[1h])', 2, 2400, "2401h0m0s"),
        # No more than a 64-bit duration can say.
        ('{app="x"}', 3_000_000, 1, "2562047h47m16.854775807s"),
    ],
)
def test_length_of_a_query(query: str, hours: int, step_hours: int, seen: str | None) -> None:
    limits = Limits(max_query_length=720 * HOUR_NS, split_queries_by_interval=HOUR_NS)
    start_ns = 2400 * HOUR_NS + (HOUR_NS if step_hours > 1 else 0)
    if seen is None:
        check_length(parse_expr(query), start_ns, start_ns + hours * HOUR_NS, step_hours * HOUR_NS, limits)
        return
    with pytest.raises(QueryRefused) as refused:
        check_length(parse_expr(query), start_ns, start_ns + hours * HOUR_NS, step_hours * HOUR_NS, limits)
    assert str(refused.value) == f"the query time range exceeds the limit (query length: {seen}, limit: 30d)"


@pytest.mark.parametrize(
    ("query", "seen"),
    [
        ('stddev(rate({app="x"}[29d]))', None),
        ('stddev(rate({app="x"}[30d]))', "720h0m0.000000001s"),
        ('rate({app="x"}[29d]) + avg_over_time({app="x"} | unwrap v [40d] offset 5m)', "960h0m0s"),
        # Loki splits it, and looks at an hour at a time.
        ('sum(rate({app="x"} | json [1y]))', None),
        ("vector(1)", None),
    ],
)
def test_windows_of_an_instant_query(query: str, seen: str | None) -> None:
    expr, limits = parse_expr(query), Limits(max_query_length=720 * HOUR_NS)
    assert not isinstance(expr, LogExpr)
    if seen is None:
        check_instant(expr, limits)
        return
    with pytest.raises(QueryRefused) as refused:
        check_instant(expr, limits)
    assert str(refused.value) == f"the query time range exceeds the limit (query length: {seen}, limit: 30d)"
