"""Windows over columns are those of `range_vectors`."""

import math
from collections.abc import Sequence

import numpy as np
import polars as pl
from hypothesis import event, given, settings
from hypothesis import strategies as st

from log_aggregator.engine.query_memory import QueryMemory
from log_aggregator.engine.range_vector import SeriesSamples, range_vectors
from log_aggregator.engine.steps import Steps
from log_aggregator.engine.vector import Vector
from log_aggregator.engine.window_columns import vectors_of
from log_aggregator.engine.windows import SAMPLES_SCHEMA, Totals, Windows
from log_aggregator.logql.ast import Grouping, LogExpr, LogRange, Matcher, RangeAggregation, Unwrap
from log_aggregator.model.labels import Labels

OF_LINES = ("count_over_time", "rate", "bytes_over_time", "bytes_rate", "absent_over_time")
OF_VALUES = (
    *("sum_over_time", "avg_over_time", "max_over_time", "min_over_time", "stddev_over_time", "stdvar_over_time"),
    *("first_over_time", "last_over_time", "rate", "rate_counter", "quantile_over_time", "absent_over_time"),
)
SERIES_LABELS: tuple[Labels, ...] = ((), (("app", "shop"),), (("app", ""),))
MATCHERS = (Matcher("app", "=", "shop"), Matcher("env", "=~", "p.*"))
# Windows and steps are small numbers, so that samples fall on their edges.
lengths_ns = st.integers(1, 30)
steps = st.builds(
    lambda first, count, step: Steps(first, first + count * step, step),
    st.integers(-20, 60),
    st.integers(0, 30),
    lengths_ns,
)
times_ns = st.integers(-60, 120)
usual_values = st.integers(-1000, 1000).map(lambda number: number / 8)
odd_values = st.sampled_from((math.nan, math.inf, -math.inf, 1e308, -1e308, 1e200, 1e-300, -0.0, 0.1))
values = st.lists(st.tuples(st.integers(0, 2), times_ns, usual_values), max_size=25) | st.lists(
    st.tuples(st.integers(0, 2), times_ns, usual_values | odd_values), max_size=10
)


def aggregation_of(operation: str, *, unwrapped: bool, range_ns: int, offset_ns: int, q: float) -> RangeAggregation:
    unwrap = Unwrap("n") if unwrapped else None
    parameter = q if operation == "quantile_over_time" else None
    return RangeAggregation(
        operation, LogRange(LogExpr(MATCHERS), range_ns, unwrap, offset_ns), parameter, Grouping(("app",))
    )


def by_rows(
    aggregation: RangeAggregation, samples: Sequence[tuple[int, int, float]], times: Steps
) -> list[dict[Labels, float]]:
    series: dict[Labels, SeriesSamples] = {}
    for number, time_ns, value in sorted(samples, key=lambda sample: sample[1]):
        own = series.setdefault(SERIES_LABELS[number], SeriesSamples())
        own.times_ns.append(time_ns)
        own.values.append(value)
    return by_labels(range_vectors(aggregation, series, times))


def by_labels(vectors: list[Vector]) -> list[dict[Labels, float]]:
    assert all(len(dict(vector)) == len(vector) for vector in vectors)
    return [dict(vector) for vector in vectors]


@given(
    st.sampled_from(OF_VALUES),
    values,
    steps,
    lengths_ns,
    st.integers(-15, 15),
    st.sampled_from((-1, 0, 0.3, 0.5, 1, 2)),
)
@settings(max_examples=200)
def test_samples(
    operation: str,
    samples: list[tuple[int, int, float]],
    times: Steps,
    range_ns: int,
    offset_ns: int,
    q: float,
) -> None:
    aggregation = aggregation_of(operation, unwrapped=True, range_ns=range_ns, offset_ns=offset_ns, q=q)
    windows = Windows(aggregation, times)
    assert not windows.is_totalled
    ordered = sorted(samples, key=lambda sample: sample[1])
    half = len(ordered) // 2
    frames = [pl.DataFrame(part, SAMPLES_SCHEMA, orient="row") for part in (ordered[:half], ordered[half:])]
    found = by_labels(vectors_of(aggregation, SERIES_LABELS, windows.of_samples(frames), len(times), QueryMemory()))
    expected = by_rows(aggregation, samples, times)
    event(f"empty: {not any(expected)}")
    # What sums lose to cancellation.
    scale = max((abs(value) for _, _, value in samples if math.isfinite(value) and abs(value) < 1e100), default=1.0)
    tolerance = (
        1e-9 * max(scale, 1.0) ** (2 if "std" in operation else 1) / (range_ns / 1e9 if operation == "rate" else 1)
    )
    assert [step.keys() for step in found] == [step.keys() for step in expected]
    for left, right in zip(expected, found, strict=True):
        for labels, value in left.items():
            assert is_close(value, right[labels], tolerance), (value, right[labels])


def is_close(left: float, right: float, tolerance: float) -> bool:
    return (math.isnan(left) and math.isnan(right)) or math.isclose(left, right, rel_tol=1e-9, abs_tol=tolerance)


@given(
    st.sampled_from(OF_LINES),
    st.lists(st.tuples(st.integers(0, 2), times_ns, st.integers(0, 99)), max_size=25),
    steps,
    lengths_ns,
    st.integers(-15, 15),
)
@settings(max_examples=200)
def test_totals(
    operation: str, samples: list[tuple[int, int, int]], times: Steps, range_ns: int, offset_ns: int
) -> None:
    aggregation = aggregation_of(operation, unwrapped=False, range_ns=range_ns, offset_ns=offset_ns, q=0)
    windows = Windows(aggregation, times)
    assert windows.is_totalled
    half = len(samples) // 2
    of_bytes = operation.startswith("bytes_")
    totals = []
    for part in (samples[:half], samples[half:]):
        series, moments, sizes = (np.array([sample[i] for sample in part], np.int64) for i in range(3))
        totals.append(windows.totals(series, 3, moments, sizes if of_bytes else None))
    values = windows.of_totals(len(SERIES_LABELS), Totals.joined(totals))
    found = vectors_of(aggregation, SERIES_LABELS, values, len(times), QueryMemory())
    expected = by_rows(aggregation, [(number, time, float(value)) for number, time, value in samples], times)
    assert by_labels(found) == expected
