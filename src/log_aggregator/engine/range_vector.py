"""Range aggregations over samples in memory, window by window: the meaning that columnar forms must keep.

A window is `(end - range, end]`, to the nanosecond; it ends at a step minus the offset.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Mapping, MutableSequence, Sequence
from dataclasses import dataclass, field

from log_aggregator.engine import range_functions as functions
from log_aggregator.engine.range_functions import RangeFunction, Window
from log_aggregator.engine.steps import Steps
from log_aggregator.engine.vector import Sample, Vector
from log_aggregator.logql.ast import Matcher, RangeAggregation
from log_aggregator.model.labels import Labels, labels_of

_OF_LINES: Mapping[str, RangeFunction] = {
    "count_over_time": functions.count_over_time,
    "rate": functions.count_rate,
    "bytes_over_time": functions.sum_over_time,
    "bytes_rate": functions.sum_rate,
}
_OF_VALUES: Mapping[str, RangeFunction] = {
    "rate": functions.sum_rate,
    "rate_counter": functions.rate_counter,
    "sum_over_time": functions.sum_over_time,
    "avg_over_time": functions.avg_over_time,
    "max_over_time": functions.max_over_time,
    "min_over_time": functions.min_over_time,
    "stdvar_over_time": functions.stdvar_over_time,
    "stddev_over_time": functions.stddev_over_time,
    "first_over_time": functions.first_over_time,
    "last_over_time": functions.last_over_time,
}
ABSENT = "absent_over_time"


@dataclass(slots=True)
class SeriesSamples:
    """The samples of one series, ascending by time. As arrays they take a quarter of what lists take."""

    times_ns: MutableSequence[int] = field(default_factory=lambda: array("q"))
    values: MutableSequence[float] = field(default_factory=lambda: array("d"))


Samples = Mapping[Labels, SeriesSamples]


def range_function(aggregation: RangeAggregation) -> RangeFunction:
    """What makes one value of the samples in a window; of `absent_over_time`, one that tells that there are some."""
    if aggregation.operation == ABSENT:
        return functions.count_over_time
    if aggregation.operation == "quantile_over_time":
        assert aggregation.parameter is not None
        return functions.quantile_over_time(aggregation.parameter)
    return (_OF_VALUES if aggregation.range.unwrap else _OF_LINES)[aggregation.operation]


def range_span(aggregation: RangeAggregation, steps: Steps) -> tuple[int, int]:
    """The times `[start, end)` in nanoseconds of the entries that any window holds."""
    offset, length = aggregation.range.offset_ns, aggregation.range.range_ns
    return steps.first_ns - offset - length + 1, steps.last_ns - offset + 1


def range_vectors(aggregation: RangeAggregation, samples: Samples, steps: Steps) -> list[Vector]:
    """The vector of every step."""
    vectors: list[Vector] = [[] for _ in range(len(steps))]
    if aggregation.operation == ABSENT:
        return _absent(aggregation, samples, steps)
    for labels, series in samples.items():
        for step, value in values_in_windows(aggregation, series, steps):
            vectors[step].append(Sample(labels, value))
    return vectors


def values_in_windows(
    aggregation: RangeAggregation, series: SeriesSamples, steps: Steps
) -> Iterator[tuple[int, float]]:
    """The value of each window that holds something, with the number of its step."""
    offset, length = aggregation.range.offset_ns, aggregation.range.range_ns
    function = range_function(aggregation)
    times, values = series.times_ns, series.values
    for number, step_ns in enumerate(steps.times_ns):
        end_ns = step_ns - offset
        low, high = bisect_right(times, end_ns - length), bisect_right(times, end_ns)
        if low < high:
            yield number, function(Window(times[low:high], values[low:high], end_ns, length))


def _absent(aggregation: RangeAggregation, samples: Samples, steps: Steps) -> list[Vector]:
    offset, length = aggregation.range.offset_ns, aggregation.range.range_ns
    times = sorted(time for series in samples.values() for time in series.times_ns)
    answer = [Sample(absent_labels(aggregation.range.log.matchers), 1.0)]
    return [
        [] if bisect_right(times, step_ns - offset) > bisect_right(times, step_ns - offset - length) else answer
        for step_ns in steps.times_ns
    ]


def absent_labels(matchers: Sequence[Matcher]) -> Labels:
    """The labels of what is absent: those that the selector fixes, where it names them once."""
    values: dict[str, str] = {}
    for matcher in matchers:
        is_only = sum(other.name == matcher.name for other in matchers) == 1
        values[matcher.name] = matcher.value if matcher.op == "=" and is_only else ""
    return labels_of(values)
