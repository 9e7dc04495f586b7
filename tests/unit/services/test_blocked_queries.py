from contextlib import nullcontext

import pytest

from log_aggregator.logql.parser import parse_expr
from log_aggregator.model.limits import BlockedQuery, Limits
from log_aggregator.services.blocked_queries import QueryBlocked, check_blocked, query_hash, query_type

LIMITED = '{job="a"}'
FILTER = '{job="a"} |= "x"'
METRIC = 'sum(rate({job="a"}[5m]))'
TAGS = {"source": "grafana", "feature": "beta"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (LIMITED, "limited"),
        (FILTER, "filter"),
        ('{job="a"} | json | x > 1', "filter"),
        (METRIC, "metric"),
        ('{job="a"} |= "" |~ "" | json', "limited"),
        ('{job="a"} |= "" |= "x"', "filter"),
        ('{job="a"} != ""', "filter"),
    ],
)
def test_type_of_query(text: str, expected: str) -> None:
    assert query_type(parse_expr(text)) == expected


@pytest.mark.parametrize(("text", "expected"), [("", 2166136261), ("a", 0x050C5D7E), ("foobar", 0x31F0B262)])
def test_hash_is_fnv_1_of_32_bits(text: str, expected: int) -> None:
    assert query_hash(text) == expected


@pytest.mark.parametrize(
    ("text", "blocked"),
    [
        (FILTER, {"pattern": FILTER}),
        (FILTER, {"pattern": f"  {FILTER}\n"}),
        (METRIC, {"pattern": "rate", "regex": True}),
        (f" {METRIC.replace('(', ' ( ')} # laid out otherwise", {"pattern": METRIC}),
        (METRIC, {"hash": query_hash(METRIC)}),
        (METRIC, {"types": ["metric"]}),
        (LIMITED, {"types": ["filter", "limited"]}),
        (LIMITED, {"types": "filter,limited"}),
        (LIMITED, {"query_tags": {"Source": "Grafana"}}),
        (LIMITED, {"pattern": ".*", "regex": True, "types": ["limited"], "query_tags": {"source": "grafana"}}),
        (LIMITED, {}),
    ],
)
def test_query_that_fits_is_blocked(text: str, blocked: dict[str, object]) -> None:
    with pytest.raises(QueryBlocked, match=r"^query blocked by policy$"):
        check(text, blocked)


@pytest.mark.parametrize(
    ("text", "blocked"),
    [
        (FILTER, {"pattern": LIMITED}),
        (METRIC, {"pattern": "rate"}),
        (METRIC, {"pattern": "(", "regex": True}),
        (METRIC, {"hash": query_hash(METRIC) + 1}),
        (METRIC, {"hash": query_hash(METRIC), "types": ["filter"]}),
        (FILTER, {"types": ["metric", "limited"]}),
        (FILTER, {"types": "metric, limited"}),
        (FILTER, {"query_tags": {"source": "other"}}),
        (FILTER, {"query_tags": {"absent": "x"}}),
    ],
)
def test_query_that_does_not_fit_in_everything_passes(text: str, blocked: dict[str, object]) -> None:
    check(text, blocked)


def check(text: str, blocked: dict[str, object]) -> None:
    limits = Limits(blocked_queries=(BlockedQuery.model_validate(blocked),))
    check_blocked(text, parse_expr(text), TAGS, limits)


@pytest.mark.parametrize(
    ("first", "is_blocked"),
    [
        ({"pattern": FILTER, "types": ["metric"]}, False),
        ({"types": ["metric"]}, False),
        ({"hash": query_hash(FILTER), "query_tags": {"source": "other"}}, False),
        ({"pattern": METRIC, "types": ["metric"]}, True),
        ({"hash": query_hash(METRIC)}, True),
    ],
)
def test_first_that_means_the_query_decides(first: dict[str, object], is_blocked: bool) -> None:
    blocked = [BlockedQuery.model_validate(one) for one in (first, {"pattern": ".*", "regex": True})]
    limits = Limits(blocked_queries=blocked)
    with pytest.raises(QueryBlocked) if is_blocked else nullcontext():
        check_blocked(FILTER, parse_expr(FILTER), TAGS, limits)
