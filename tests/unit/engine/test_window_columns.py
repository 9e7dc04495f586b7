"""What windows hold is held in parts, and what aggregations choose of it takes no more than it must."""

import numpy as np
import polars as pl
import pytest

from log_aggregator.engine.label_texts import text_of
from log_aggregator.engine.query_memory import QueryMemory, QueryTooLarge
from log_aggregator.engine.steps import Steps
from log_aggregator.engine.window_columns import aggregated
from log_aggregator.engine.windows import SAMPLES_SCHEMA, Windows, WindowValues
from log_aggregator.logql.ast import RangeAggregation, VectorAggregation
from log_aggregator.logql.parser import parse_expr

SECOND_NS = 1_000_000_000
STEPS = Steps(100 * SECOND_NS, 200 * SECOND_NS, SECOND_NS)
SERIES = 2000


def aggregation(text: str) -> tuple[VectorAggregation, RangeAggregation]:
    expr = parse_expr(text)
    assert isinstance(expr, VectorAggregation)
    assert isinstance(expr.expr, RangeAggregation)
    return expr, expr.expr


def test_windows_that_are_computed_one_by_one_are_held_before_all_of_them_are() -> None:
    expr, leaf = aggregation('avg(avg_over_time({app="x"} | json | unwrap n [100s]))')
    frame = pl.DataFrame([(number, 100 * SECOND_NS, 1.0) for number in range(SERIES)], SAMPLES_SCHEMA, orient="row")
    parts = list(Windows(leaf, STEPS).of_samples([frame]))
    sizes = [len(part.series) for part in parts]
    assert sum(sizes) == 100 * SERIES
    assert max(sizes) <= 1 << 16
    texts = pl.Series([text_of((("id", f"{number:04}"),)) for number in range(SERIES)])
    taken = iter(parts)
    with pytest.raises(QueryTooLarge):
        aggregated(expr, texts, taken, len(STEPS), QueryMemory(sizes[0]))
    assert list(taken) == parts[1:]
    assert aggregated(expr, texts, parts, len(STEPS), QueryMemory())[0] == [((), 1.0)]


def test_a_series_that_is_chosen_at_many_steps_has_its_labels_once() -> None:
    expr, _ = aggregation('topk(1, count_over_time({app="x"} | json [5m]))')
    labels = (("app", "x"), ("id", "5"))
    held = WindowValues(np.array([0, 0]), np.array([0, 1]), np.array([1.0, 2.0]))
    first, second = aggregated(expr, pl.Series([text_of(labels)]), [held], 2, QueryMemory())
    assert (first, second) == ([(labels, 1.0)], [(labels, 2.0)])
    assert first[0].labels is second[0].labels
