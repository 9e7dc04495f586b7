"""Samples: what entries count for in a range aggregation."""

from collections.abc import Callable, Mapping
from functools import reduce
from typing import ClassVar, Final

from log_aggregator.engine.conversions import Conversion, NotConvertible, to_number, to_seconds, to_size_bytes
from log_aggregator.engine.demand import demand_for_all, demand_for_nothing, demand_for_some, filters_of
from log_aggregator.engine.entry_labels import (
    ERROR,
    ERROR_DETAILS,
    PRESERVE_ERROR,
    REPLACEMENT,
    Check,
    Demand,
    EntryLabels,
)
from log_aggregator.engine.label_filter import compile_label_filter
from log_aggregator.engine.pipeline import Pipeline, compile_pipeline
from log_aggregator.engine.stage import Process
from log_aggregator.errors import ErrorCode, LogAggregatorError
from log_aggregator.logql.ast import AndFilter, Grouping, RangeAggregation, Stage, Unwrap
from log_aggregator.logql.idle_formats import stages_in_use
from log_aggregator.model.labels import Labels, format_labels

SAMPLE_ERROR: Final = "SampleExtractionErr"

_NO_GROUPING: Final = Grouping((), without=True)
_CONVERSIONS: dict[str, Conversion] = {
    "": to_number,
    "bytes": to_size_bytes,
    "duration": to_seconds,
    "duration_seconds": to_seconds,
}

Measure = Callable[[str, EntryLabels], float | None]
"""The value of an entry; None where it has none."""


class PipelineFailed(LogAggregatorError):
    """An entry has an error that the query neither asked for nor filtered out. In Loki's words."""

    code: ClassVar[ErrorCode] = ErrorCode.INVALID

    def __init__(self, error: str, series: Labels) -> None:
        super().__init__(
            f"pipeline error: '{error}' for series: '{format_labels(series)}'.\n"
            f'Use a label filter to intentionally skip this error. (e.g | __error__!="{error}").\n'
            'To skip all potential errors you can match empty errors.(e.g __error__="")\n'
            'The label filter can also be specified after unwrap. (e.g | unwrap latency | __error__="" )\n'
        )
        self.error = error
        self.series = series


class Sampler:
    """Safe to use from several threads."""

    def __init__(self, pipeline: Pipeline, measure: Measure, grouping: Grouping) -> None:
        self._pipeline = pipeline
        self._measure = measure
        self._names = frozenset(grouping.labels)
        self._without = grouping.without

    def process(
        self, timestamp_ns: int, line: str, stream: Labels, metadata: Mapping[str, str]
    ) -> tuple[Labels, float] | None:
        """The series that an entry counts for and its value: 1, the bytes of the line, or the unwrapped label.

        None where it does not count, as where Loki cannot read the series for a U+FFFD in it. A label may have an empty
        value: a parser was asked for it and did not find it.
        Raises PipelineFailed.
        """
        passed = self._pipeline.run(timestamp_ns, line, stream, metadata)
        if passed is None:
            return None
        line, labels = passed
        value = self._measure(line, labels)
        if value is None:
            return None
        series = self._series(stream, labels)
        if any(REPLACEMENT in text and name not in labels.cut for name, text in series):
            return None
        return _checked(series), value

    def _series(self, stream: Labels, labels: EntryLabels) -> Labels:
        if labels.error:  # it must not get lost by grouping
            return _sorted(labels.all())
        if not labels.changed:
            kept = tuple(pair for pair in stream if (pair[0] in self._names) is not self._without)
            return stream if len(kept) == len(stream) else kept
        if not self._without:
            return _sorted(labels.grouped_by(self._names))
        # Where labels are taken away, the details of an error that has been dropped go, too: Loki's way.
        hidden = {*self._names, ERROR_DETAILS} if self._names else set()
        return _sorted({name: value for name, value in labels.all().items() if name not in hidden})


def _sorted(labels: Mapping[str, str]) -> Labels:
    return tuple(sorted(labels.items()))


def _checked(series: Labels) -> Labels:
    labels = dict(series)
    if ERROR in labels and labels.get(PRESERVE_ERROR) != "true":
        raise PipelineFailed(labels[ERROR], series)
    return series


def compile_sampler(
    aggregation: RangeAggregation, demand: Demand | None = None, compiled: Callable[[Stage], Process] | None = None
) -> Sampler:
    """The aggregation's grouping, its own or that of what is around it (`engine.pushdown`), is that of its series.

    Without a `demand`, parsers are asked for what its own stages make of labels. `compiled` is as `compile_pipeline`
    has it.
    """
    stages = stages_in_use(aggregation)
    unwrap, grouping = aggregation.range.unwrap, grouping_of(aggregation)
    pipeline = compile_pipeline(stages, demand or demand_of(aggregation), compiled)
    if unwrap is None:
        return Sampler(pipeline, _bytes if aggregation.operation.startswith("bytes_") else _one, grouping)
    if grouping.without:
        grouping = Grouping((*grouping.labels, unwrap.label), without=True)
    return Sampler(pipeline, _unwrapped(unwrap), grouping)


def demand_of(aggregation: RangeAggregation) -> Demand:
    """What its series depend on."""
    stages, unwrap = stages_in_use(aggregation), aggregation.range.unwrap
    grouping = _NO_GROUPING if aggregation.asks_for_all else grouping_of(aggregation)
    filters = [*filters_of(stages), *((reduce(AndFilter, unwrap.filters),) if unwrap and unwrap.filters else ())]
    needed = (*grouping.labels, *((unwrap.label,) if unwrap else ()))
    if grouping.without:
        return demand_for_all(filters)
    if not grouping.labels:
        return demand_for_nothing(stages, filters, needed)
    return demand_for_some(stages, filters, needed)


def grouping_of(aggregation: RangeAggregation) -> Grouping:
    """That of its series, `without ()` where there is none."""
    return Grouping(()) if aggregation.operation == "absent_over_time" else aggregation.grouping or _NO_GROUPING


def _one(line: str, labels: EntryLabels) -> float:
    return 1.0


def _bytes(line: str, labels: EntryLabels) -> float:
    return float(len(line) if line.isascii() else len(line.encode()))


def _unwrapped(unwrap: Unwrap) -> Measure:
    """An entry without the label is passed over; one that is no number has an error, for the filters behind unwrap."""
    convert = _CONVERSIONS[unwrap.conversion]
    filters: list[Check] = [compile_label_filter(node) for node in unwrap.filters]

    def measure(line: str, labels: EntryLabels) -> float | None:
        text = labels.get(unwrap.label)
        if not text:
            return None
        value = 0.0
        try:
            value = convert(text)
        except NotConvertible as error:
            labels.fail(SAMPLE_ERROR, str(error))
        return value if all(passes(labels) for passes in filters) else None

    return measure
