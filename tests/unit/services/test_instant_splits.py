import pytest

from log_aggregator.engine.vector import Sample
from log_aggregator.logql.ast import LogExpr, MetricExpr, RangeAggregation
from log_aggregator.logql.parser import parse_expr
from log_aggregator.services.instant_splits import is_split, merged_splits

COUNT = 'count_over_time({a="b"}[3h])'
PARSED = 'count_over_time({a="b"} | logfmt [3h])'
RATE = 'rate({a="b"} | json [3h])'
LARGEST = 'max_over_time({a="b"} | logfmt | unwrap v [3h])'


def parse(query: str) -> MetricExpr:
    expr = parse_expr(query)
    assert not isinstance(expr, LogExpr)
    return expr


@pytest.mark.parametrize(
    "query",
    [
        COUNT,
        'bytes_rate({a="b"} |= "c" | drop d [3h])',
        'sum_over_time({a="b"} | unwrap v [3h])',
        'rate({a="b"} | json v="w" | logfmt x [61m] offset 5m)',
        f"topk(1, {COUNT})",
        f"sort_desc({COUNT})",
        f"avg({PARSED})",
        f"sum by (c) (max({PARSED}))",
        f"count(max({PARSED}))",
        f'max(label_replace({PARSED}, "a", "b", "c", ""))',
        f"sum without (c) ({RATE})",
        f"{LARGEST} by (c)",
        f"sum({RATE}) / {COUNT}",
        f"2 * (1 + {COUNT})",
        f"sum({COUNT} > 5)",
    ],
)
def test_what_is_split(query: str) -> None:
    assert is_split(parse(query))


@pytest.mark.parametrize(
    "query",
    [
        'count_over_time({a="b"}[1h])',
        'avg_over_time({a="b"} | unwrap v [3h])',
        'absent_over_time({a="b"}[3h])',
        f"stddev({COUNT})",
        f"sum(stddev({COUNT}))",
        f"bottomk(1, {COUNT})",
        # Series of each split, which nothing merges before.
        PARSED,
        RATE,
        LARGEST,
        f"count({PARSED})",
        f"sum(topk(1, {PARSED}))",
        f"{PARSED} + 1",
        f"sum({PARSED} > 5)",
        f"max({RATE})",
        f"sum(max({RATE}))",
        # One operand is not.
        f"{COUNT} or vector(0)",
        f'{COUNT} / count_over_time({{a="b"}}[5m])',
        "vector(1)",
        "1 + 1",
    ],
)
def test_what_is_not_split(query: str) -> None:
    assert not is_split(parse(query))


@pytest.mark.parametrize(
    ("query", "value"), [(COUNT, 7.0), (RATE, 7.0), (LARGEST, 4.0), (LARGEST.replace("max", "min"), 3.0)]
)
def test_labels_of_empty_values_are_none(query: str, value: float) -> None:
    leaf = parse(query)
    assert isinstance(leaf, RangeAggregation)
    app = ("app", "x")
    vector = [Sample((app,), 3.0), Sample((app, ("z", "")), 4.0), Sample((app, ("z", "1")), 5.0)]
    assert merged_splits(vector, leaf) == [Sample((app,), value), Sample((app, ("z", "1")), 5.0)]
