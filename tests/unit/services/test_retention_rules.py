"""How long which stream is kept."""

from log_aggregator.model.limits import Limits, StreamRetention
from log_aggregator.services.retention import Retention

DAY_NS = 86_400 * 1_000_000_000


def retention(period_days: int, *streams: tuple[str, int, int]) -> Retention:
    rules = tuple(
        StreamRetention(selector=selector, priority=priority, period=days * DAY_NS)
        for selector, priority, days in streams
    )
    return Retention(Limits(retention_period=period_days * DAY_NS, retention_stream=rules))


def test_without_limits_everything_is_kept_for_ever() -> None:
    assert retention(0).is_endless


def test_a_period_of_streams_counts_before_that_of_the_tenant() -> None:
    kept = retention(30, ('{env="dev"}', 0, 1), ('{env="audit"}', 0, 365))
    assert kept.period_ns((("env", "dev"),)) == DAY_NS
    assert kept.period_ns((("env", "audit"),)) == 365 * DAY_NS
    assert kept.period_ns((("env", "prod"),)) == 30 * DAY_NS
    assert (kept.shortest_ns, kept.longest_ns) == (DAY_NS, 365 * DAY_NS)


def test_of_several_selectors_the_highest_priority_and_then_the_shortest_period_counts() -> None:
    kept = retention(0, ('{app=~".+"}', 1, 7), ('{app="x"}', 2, 30), ('{app=~"x|y"}', 1, 3))
    assert kept.period_ns((("app", "x"),)) == 30 * DAY_NS
    assert kept.period_ns((("app", "y"),)) == 3 * DAY_NS
    assert kept.period_ns((("app", "z"),)) == 7 * DAY_NS


def test_streams_may_expire_where_the_rest_is_kept_for_ever() -> None:
    kept = retention(0, ('{env="dev"}', 0, 1))
    assert not kept.is_endless
    assert kept.longest_ns > 200 * 365 * DAY_NS
