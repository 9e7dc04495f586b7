"""Metric expressions over vectors of their leaves."""

import pytest

from log_aggregator.engine.metric import NotEvaluable, evaluate
from log_aggregator.engine.pushdown import push_down
from log_aggregator.engine.steps import Steps
from log_aggregator.engine.vector import MatchingFailed, Sample
from log_aggregator.logql.ast import LogExpr
from log_aggregator.logql.leaves import leaves_of
from log_aggregator.logql.parser import parse_text


def evaluated(query: str, *series: dict[str, str]) -> list[dict[str, str]]:
    """The labels of the answer where each range aggregation gives these series."""
    expr = parse_text(query)
    assert not isinstance(expr, LogExpr)
    expr = push_down(expr)
    vectors = [[Sample(tuple(sorted(labels.items())), 1.0) for labels in series]]
    (answer,) = evaluate(expr, dict.fromkeys(leaves_of(expr), vectors), Steps.at(0))
    return [dict(labels) for labels, _ in answer]


EMPTY, FULL = {"app": "x", "n": ""}, {"app": "x", "n": "1"}
WITHOUT = {"app": "x"}
LOG = '{app="x"} | json'


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f"rate({LOG} [1m])", [EMPTY, FULL]),
        (f"rate({LOG} [1m]) > 0", [EMPTY, FULL]),
        (f"max by (app, n) (rate({LOG} [1m]))", [EMPTY, FULL]),
        (f"max without (env) (rate({LOG} [1m]))", [WITHOUT, FULL]),
        (f"sum without () (rate({LOG} [1m]))", [WITHOUT, FULL]),
        (f"avg by (app, n) (rate({LOG} [1m]))", [WITHOUT, FULL]),
        (f"avg by (app, n) (last_over_time({LOG} | unwrap v [1m]))", [EMPTY, FULL]),
        (f"rate({LOG} [1m]) + rate({LOG} [1m])", [WITHOUT, FULL]),
        (f"rate({LOG} [1m]) + on (n) rate({LOG} [1m])", [{}, {"n": "1"}]),
        (f"rate({LOG} [1m]) and rate({LOG} [1m])", [EMPTY, FULL]),
        # Where labels are taken away, series are put together once more.
        (f"rate({LOG} | drop a [1m])", [WITHOUT, FULL]),
        (f"rate({LOG} | label_format a=b [1m])", [WITHOUT, FULL]),
        (f"rate({LOG} | label_format a=`b` [1m])", [EMPTY, FULL]),
        (f"max_over_time({LOG} | unwrap v [1m]) without (a)", [WITHOUT, FULL]),
        (f"max_over_time({LOG} | unwrap v [1m]) by (app, n)", [EMPTY, FULL]),
        (f"avg_over_time({LOG} | unwrap v [1m]) by (a)", [WITHOUT, FULL]),
        (f'avg_over_time({LOG} | unwrap v | __error__="" [1m]) by (a)', [EMPTY, FULL]),
        (f"avg by (app, n) (sum_over_time({LOG} | unwrap v [1m]))", [WITHOUT, FULL]),
        # Of the two, only the sum knows the unwrapped label.
        (f"avg by (app, v) (sum_over_time({LOG} | unwrap v [1m]))", []),
        (f"avg by (app, v) (max_over_time({LOG} | unwrap v [1m]))", [WITHOUT]),
        (f"avg by (app, n) (max_over_time({LOG} | unwrap v [1m]) by (app, n))", [EMPTY, FULL]),
        (f'avg by (app, n) (avg_over_time({LOG} | unwrap v | __error__="" [1m]) by (app, n))', [EMPTY, FULL]),
        (f'avg_over_time({LOG} | unwrap v | __error__=~".*" [1m]) by (a)', [WITHOUT, FULL]),
        (f"last_over_time({LOG} | unwrap v [1m]) without (a)", [EMPTY, FULL]),
    ],
)
def test_empty_labels_are_lost_where_loki_loses_them(query: str, expected: list[dict[str, str]]) -> None:
    assert evaluated(query, EMPTY, FULL) == expected


@pytest.mark.parametrize(
    ("query", "number"),
    [
        *((f"{operation} without (k) (rate({LOG} [1m]))", 1) for operation in ("sum", "avg", "count", "max", "min")),
        *(
            (f"max without (k) ({operation}({LOG} | unwrap v [1m]))", 1)
            for operation in ("sum_over_time", "max_over_time", "avg_over_time", "last_over_time")
        ),
        # What Loki does not compute in shards is not put together.
        (f"stddev without (k) (rate({LOG} [1m]))", 2),
        (f"max without (k) (stddev_over_time({LOG} | unwrap v [1m]))", 2),
        (f"max without (k) (max by (app, n) (rate({LOG} [1m])))", 2),
    ],
)
def test_series_with_an_empty_label_and_without_it_are_one_where_shards_are_put_together(
    query: str, number: int
) -> None:
    assert evaluated(query, EMPTY, WITHOUT) == [WITHOUT] * number


FAILED = {"__error__": "JSONParserErr", "__preserve_error__": "true"}


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [
        ("max_over_time({}) by (app)", [WITHOUT]),
        ("min_over_time({}) without (n)", [WITHOUT, WITHOUT | FAILED]),
        ("last_over_time({}) by (app)", [WITHOUT, FULL | FAILED]),
    ],
)
def test_series_with_an_error_are_grouped_where_series_are_put_together(
    aggregation: str, expected: list[dict[str, str]]
) -> None:
    query = aggregation.format(f'{LOG} | __error__!="x" | unwrap v [1m]')
    assert evaluated(query, WITHOUT, FULL | FAILED) == expected


def test_series_that_differ_in_an_empty_label_match_the_same() -> None:
    sums = f"rate({LOG} [1m]) + rate({LOG} [1m])"
    with pytest.raises(MatchingFailed, match="found duplicate series on the right hand-side"):
        evaluated(sums, EMPTY, WITHOUT)


@pytest.mark.parametrize("query", ["sort(1)", "max(1 + 1)", "topk(1, 2)", 'label_replace(1, "a", "b", "c", "d")'])
def test_a_number_is_no_vector(query: str) -> None:
    with pytest.raises(NotEvaluable, match="unexpected expr type"):
        evaluated(query)


@pytest.mark.parametrize(
    ("replacement", "expected"),
    [
        ("$1-$$", "x-$"),
        ("${1}a", "xa"),
        ("$1a", None),
        ("$n", "x"),
        ("$01", None),
        ("${00}", None),
        ("$٣", None),
        ("é$1", "éx"),
        ("$é", None),
        ("$-", "$-"),
    ],
)
def test_references_of_label_replace(replacement: str, expected: str | None) -> None:
    """Letters and digits of any script name a group, and one that does not exist is empty."""
    query = f'label_replace(rate({{app="x"}}[1m]), "to", "{replacement}", "app", "(?P<n>.*)")'
    assert evaluated(query, WITHOUT) == [WITHOUT if expected is None else WITHOUT | {"to": expected}]
