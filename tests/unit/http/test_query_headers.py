import pytest

from log_aggregator.http.query_headers import InvalidQueryLimits, query_context, query_tags
from log_aggregator.model.limits import Limits
from log_aggregator.services.query_context import NO_CONTEXT


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("Source=logvolhist", {"source": "logvolhist"}),
        ("Source=grafana,Feature=beta", {"source": "grafana", "feature": "beta"}),
        ("User=ann@example.org", {"user": "ann@example.org"}),
        ("a=b=c, d = e ,f,=g,h=", {"a": "b=c", "d": "e"}),
        ('a=x" level=error\nb', {"a": "x_ level=error_b"}),
    ],
)
def test_tags_are_pairs_without_what_could_forge_a_line_of_the_log(text: str, expected: dict[str, str]) -> None:
    assert query_tags(text) == expected


@pytest.mark.parametrize(
    ("header", "no_cache"), [("no-cache", True), ("max-age=0, No-Cache", True), ("no-store", False), ("", False)]
)
def test_a_request_can_refuse_cached_results(header: str, no_cache: bool) -> None:
    assert query_context({"cache-control": header}, own_limits=False).no_cache is no_cache


def test_limits_of_a_request_are_read_where_they_are_enabled() -> None:
    headers = {"x-loki-query-limits": '{"maxQueryLength": "1h", "maxQueryBytesRead": "1GB"}'}
    assert query_context(headers, own_limits=True).limits.max_query_bytes_read == 1 << 30
    assert query_context(headers, own_limits=False) == NO_CONTEXT


def test_limits_of_queriers_are_understood_and_change_nothing() -> None:
    limits = Limits()
    for text in ('{"maxQuerierBytesRead": "1GB"}', '{"tsdbShardingStrategy": "bounded"}'):
        context = query_context({"x-loki-query-limits": text}, own_limits=True)
        assert context.tightened(limits) == limits


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "invalid X-Loki-Query-Limits header: Invalid JSON: EOF while parsing an object at line 1 column 1"),
        ('{"maxQueryLength": "long"}', "invalid X-Loki-Query-Limits header: maxQueryLength: "),
        ('{"maxQueryLength": 3600}', "invalid X-Loki-Query-Limits header: maxQueryLength: Value error, not a duration"),
        ('{"maxEntries": 1}', "invalid X-Loki-Query-Limits header: maxEntries: Extra inputs are not permitted"),
    ],
)
def test_limits_that_cannot_be_read_are_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidQueryLimits) as raised:
        query_context({"x-loki-query-limits": text}, own_limits=True)
    assert str(raised.value).startswith(message)
