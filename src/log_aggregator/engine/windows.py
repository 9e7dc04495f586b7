"""Range aggregations over columns of samples, all windows in one pass: equal to `range_vector`, which is the meaning.

Where what windows hold can be added up, samples are counted by place: the place of a time is the number of edges of
windows before it. A window holds all up to its end less all up to its beginning.

Other aggregations look at the samples of each window: a sample at time t is in the windows of the steps from `enter`
(the first whose window ends at or after t) up to, not including, `leave` (the first whose window begins at or after t).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import numpy.typing as npt
import polars as pl

from log_aggregator.engine.batch import Integers, narrowest
from log_aggregator.engine.query_memory import QueryMemory
from log_aggregator.engine.range_vector import SeriesSamples, values_in_windows
from log_aggregator.engine.steps import Steps
from log_aggregator.logql.ast import RangeAggregation
from log_aggregator.model.segment import TIMESTAMP

SERIES, TIME, VALUE = "series", "time_ns", "value"
STEP = "step"
_KEY, _COUNT = "key", "count"
_INT64 = 2**63
SAMPLES_SCHEMA = pl.Schema({SERIES: pl.UInt32, TIME: pl.Int64, VALUE: pl.Float64})

# Those that follow from how many samples a window holds and the sum of whole numbers, which subtraction keeps exact.
TOTALLED = frozenset(("count_over_time", "rate", "bytes_over_time", "bytes_rate", "absent_over_time"))
# Those for which Polars has the same function; the others are computed window by window.
_AGGREGATES: dict[str, Callable[[pl.Expr], pl.Expr]] = {
    "sum_over_time": lambda value: value.sum(),
    "max_over_time": lambda value: value.max(),
    "min_over_time": lambda value: value.min(),
    "first_over_time": lambda value: value.first(),
    "last_over_time": lambda value: value.last(),
    "avg_over_time": lambda value: value.mean(),
    "stdvar_over_time": lambda value: value.var(ddof=0),
    "stddev_over_time": lambda value: value.std(ddof=0),
}
# Those for which it does not matter in which order the samples come, not even in the last digit.
_ORDERLESS = frozenset(("max_over_time", "min_over_time", "quantile_over_time"))
# Beyond this, sums of squares may overflow where a running mean does not.
_MAX_MAGNITUDE = 1e100
# Each sample is copied into every window that holds it; where windows overlap more, they are computed one by one.
_MAX_COPIES = 64
# So many copies at a time, or as many as there are samples.
_COPIES_AT_ONCE = 4 << 20
# Of windows that are computed one by one; as Python's own numbers they take some times what they take in columns.
_VALUES_AT_ONCE = 1 << 16
# A sample as Python's own numbers, where windows are computed one by one.
_PLAIN_SAMPLE_BYTES = 72
# Of a table that has a cell for each group and place: more than there are samples are not worth their memory.
_FEW_CELLS = 1 << 16
# Of the series at a time whose places are all laid out.
_CELLS_AT_ONCE = 1 << 20
# To copy a total into a window takes as long as so many cells.
_CELLS_PER_COPY = 16
_MAX_KEY = 1 << 62


@dataclass(frozen=True, slots=True, eq=False)
class WindowValues:
    """Of windows that hold something the number of the series, that of the step, and the value.

    Of each step, series come in the order of their numbers.
    """

    series: Integers = field(repr=False)
    steps: Integers = field(repr=False)
    values: npt.NDArray[np.float64] = field(repr=False)

    @classmethod
    def joined(cls, parts: Sequence["WindowValues"]) -> "WindowValues":
        none = np.zeros(0, np.int64)
        return cls(
            np.concatenate([none, *(part.series for part in parts)]),
            np.concatenate([none, *(part.steps for part in parts)]),
            np.concatenate([none.astype(np.float64), *(part.values for part in parts)]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Totals:
    """Samples added up: of each group at each place how many they are, and the sum of their values.

    Groups are whole numbers: series, or what decides about the series. One may stand at a place several times.
    """

    groups: Integers = field(repr=False)
    places: Integers = field(repr=False)
    counts: Integers = field(repr=False)
    values: Integers = field(repr=False)

    def __len__(self) -> int:
        return len(self.groups)

    @property
    def columns(self) -> tuple[Integers, Integers, Integers, Integers]:
        return self.groups, self.places, self.counts, self.values

    @property
    def size_bytes(self) -> int:
        return sum(column.nbytes for column in self.columns)

    def of_series(self, series: Integers) -> "Totals":
        """With the series at each group's index instead of the group; without those where it is negative."""
        groups = series[self.groups]
        found = Totals(groups, self.places, self.counts, self.values)
        if len(groups) and groups.min() < 0:
            found = Totals(*(column[groups >= 0] for column in found.columns))
        return found

    @classmethod
    def joined(cls, parts: Sequence["Totals"]) -> "Totals":
        if not parts:
            return cls(*(np.zeros(0, np.int64) for _ in range(4)))
        return cls(*map(np.concatenate, zip(*(part.columns for part in parts), strict=True)))


def edges_fit(aggregation: RangeAggregation, steps: Steps) -> bool:
    """Whether all windows lie in the 64 bits of nanoseconds that columns have: from 1678 to 2261."""
    begin_ns = steps.first_ns - aggregation.range.offset_ns - aggregation.range.range_ns
    return begin_ns >= -_INT64 and steps.last_ns - aggregation.range.offset_ns < _INT64


def in_windows(aggregation: RangeAggregation, steps: Steps) -> pl.Expr | None:
    """Which rows of the range's span are in a window. None: all of them, as no window ends before the next begins.

    What is in no window is no part of the query, so its errors must not fail it.
    """
    if len(steps) == 1 or aggregation.range.range_ns >= steps.step_ns:
        return None
    until_step = steps.first_ns - aggregation.range.offset_ns - pl.col(TIMESTAMP)
    # Polars' remainder has the sign of the divisor.
    return until_step % steps.step_ns < aggregation.range.range_ns


class Windows:
    """The windows of one aggregation at all steps, if their edges fit. What they hold is held in `memory`."""

    def __init__(self, aggregation: RangeAggregation, steps: Steps, memory: QueryMemory | None = None) -> None:
        self.memory = memory or QueryMemory()
        self._aggregation = aggregation
        self._steps = steps
        self._range_ns = aggregation.range.range_ns
        self._offset_ns = aggregation.range.offset_ns
        # For one step alone, steps may be as long as one likes: all samples then enter at once, and leave at once.
        self._step_ns = steps.step_ns if len(steps) > 1 else max(steps.step_ns, self._range_ns)
        self._steps_in_range, rest_ns = divmod(self._range_ns, self._step_ns)
        # Whether each window begins where the one before it ends.
        self._is_tumbling = not rest_ns and self._steps_in_range == 1
        self.mask = in_windows(aggregation, steps)
        ends = np.arange(len(steps), dtype=np.int64) * steps.step_ns + (steps.first_ns - self._offset_ns)
        self._edges, at = np.unique(np.concatenate([ends - self._range_ns, ends]), return_inverse=True)
        self._begins, self._ends = np.split(at, 2)

    @property
    def steps(self) -> int:
        """How many there are."""
        return len(self._steps)

    @property
    def is_totalled(self) -> bool:
        return self._aggregation.operation in TOTALLED and self._aggregation.range.unwrap is None

    def totals_of_runs(self, lengths: Sequence[int], times: Integers, values: Integers | None = None) -> Totals:
        """Of rows that come in runs of these lengths, ascending in time; the groups are the numbers of the runs.

        Without values, which are whole numbers, each row is 1.
        """
        if self._is_searched_in(lengths, times):
            bounds = self._bounds(lengths, times)
            counts = np.diff(bounds)
            groups, places = counts.nonzero()
            held = summed = counts[groups, places]
            if values is not None:
                sums = np.zeros(len(values) + 1, np.int64)
                np.cumsum(values, out=sums[1:])
                summed = np.diff(sums[bounds])[groups, places]
            return Totals(groups, places, held, summed)
        runs = np.repeat(np.arange(len(lengths)), lengths)
        return self.totals(runs, len(lengths), times, values)

    def totals(
        self,
        groups: Integers,
        group_count: int,
        times: Integers,
        values: Integers | None = None,
        lengths: Sequence[int] = (),
    ) -> Totals:
        """Of rows of these groups, which are numbers below `group_count`.

        Of the runs of rows in which times ascend, the lengths are given where they are known.
        """
        if lengths and self._is_searched_in(lengths, times):
            bounds = self._bounds(lengths, times)
            at_places = np.tile(np.arange(bounds.shape[1] - 1, dtype=np.int32), len(lengths))
            places = np.repeat(at_places, np.diff(bounds).ravel())
        else:
            places = np.searchsorted(self._edges, times)
        return self._added_up(groups, group_count, places, None, values)

    def summed(self, totals: Totals, group_count: int) -> Totals:
        """Each group once at each place."""
        return self._added_up(totals.groups, group_count, totals.places, totals.counts, totals.values)

    def of_totals(self, series: int, totals: Totals) -> Iterator[WindowValues]:
        """Of so many series, some after the other; the groups are their numbers."""
        order = np.argsort(totals.groups, kind="stable")
        groups, places, counts, values = (column[order] for column in totals.columns)
        is_of_values = self._aggregation.operation.startswith("bytes_")
        at_once = max(_CELLS_AT_ONCE // self._places, 1)
        for first in range(0, series, at_once):
            some = min(at_once, series - first)
            part = slice(*np.searchsorted(groups, (first, first + some)))
            counted = counts[part]
            of_part = Totals(groups[part] - first, places[part], counted, values[part] if is_of_values else counted)
            numbers, steps, found = self._in_windows(of_part, some)
            yield WindowValues(numbers + first, steps, self._of_totals(found))

    @property
    def _places(self) -> int:
        """How many there are; at the last are the times after all windows."""
        return len(self._edges) + 1

    def _is_searched_in(self, lengths: Sequence[int], times: Integers) -> bool:
        """Whether it takes less to search the edges in each run than the times in the edges."""
        return len(lengths) * len(self._edges) < len(times)

    def _bounds(self, lengths: Sequence[int], times: Integers) -> Integers:
        """By run and place the first row, and one more at the end, the row after the last."""
        bounds = np.empty((len(lengths), self._places + 1), np.int64)
        begin = 0
        for run, length in enumerate(lengths):
            bounds[run, 0] = begin
            bounds[run, 1:-1] = np.searchsorted(times[begin : begin + length], self._edges, "right")
            bounds[run, 1:-1] += begin
            begin += length
            bounds[run, -1] = begin
        return bounds

    def _added_up(
        self,
        groups: Integers,
        group_count: int,
        places: Integers,
        counts: Integers | None,
        values: Integers | None,
    ) -> Totals:
        """Without counts, each row is one; without values, they are the counts."""
        if group_count * self._places > _MAX_KEY:
            known, numbers = np.unique(groups, return_inverse=True)
            return self._added_up(numbers, len(known), places, counts, values).of_series(known)
        cells = group_count * self._places
        keys = np.multiply(groups, self._places, dtype=narrowest(cells)) + places
        if cells <= max(_FEW_CELLS, len(keys)):
            # Weights are added up as floats, which are whole up to 2^53.
            counted = np.bincount(keys, counts, cells)
            (found,) = counted.nonzero()
            summed = held = counted[found].astype(np.int64)
            if values is not None:
                summed = np.bincount(keys, values, cells)[found].astype(np.int64)
        else:
            ones = np.ones(len(keys), np.int64) if counts is None else counts
            frame = pl.DataFrame({_KEY: keys, _COUNT: ones, VALUE: ones if values is None else values.astype(np.int64)})
            grouped = frame.group_by(_KEY).sum()
            found, held, summed = (grouped[name].cast(pl.Int64).to_numpy() for name in (_KEY, _COUNT, VALUE))
        return Totals(found // self._places, found % self._places, held, summed)

    def _in_windows(self, totals: Totals, series: int) -> tuple[Integers, Integers, Integers]:
        """Series, step and value of each window that holds something."""
        enter, leave = np.searchsorted(self._ends, totals.places), np.searchsorted(self._begins, totals.places)
        copies = np.maximum(leave - enter, 0)
        if copies.sum() * _CELLS_PER_COPY < series * self._places:
            # Into each window that holds it.
            nth = np.arange(copies.sum()) - np.repeat(np.cumsum(copies) - copies, copies)
            windows, at = np.unique(
                np.repeat(totals.groups * len(self._steps) + enter, copies) + nth, return_inverse=True
            )
            found = np.bincount(at, np.repeat(totals.values, copies), len(windows)).astype(np.int64)
            return windows // len(self._steps), windows % len(self._steps), found
        cells = totals.groups * self._places + totals.places
        held = self._held(series, cells, totals.counts)
        numbers, steps = held.nonzero()
        summed = held if totals.values is totals.counts else self._held(series, cells, totals.values)
        return numbers, steps, summed[numbers, steps]

    def _held(self, series: int, cells: Integers, amounts: Integers) -> Integers:
        """By series and step how much the window holds; cells are numbered by series and place."""
        table = np.zeros(series * self._places, np.int64)
        np.add.at(table, cells, amounts)
        until = table.reshape(series, self._places).cumsum(axis=1)
        held: Integers = until[:, self._ends] - until[:, self._begins]
        return held

    def of_samples(self, samples: Iterable[pl.DataFrame]) -> Iterator[WindowValues]:
        """Of SAMPLES_SCHEMA, where samples of equal time stand in order of arrival; some steps after the other.

        Raises QueryTooLarge.
        """
        frame = pl.concat([pl.DataFrame(schema=SAMPLES_SCHEMA), *samples])
        aggregate = self._aggregate()
        copies = min(-(-self._range_ns // self._steps.step_ns), len(self._steps))
        # What is not finite fails the comparison too.
        plain = frame.select((pl.col(VALUE).abs() < _MAX_MAGNITUDE).all() & ~pl.col(VALUE).is_nan().any()).item()
        if aggregate is None or copies > _MAX_COPIES or not plain:
            self.memory.hold("samples", _PLAIN_SAMPLE_BYTES * frame.height)
            yield from self._one_by_one(frame)
            return
        if self._aggregation.operation not in _ORDERLESS:
            frame = frame.sort(TIME, maintain_order=True)
        seconds = self._range_ns / 1e9 if self._aggregation.operation == "rate" else 1.0
        for windows in self._windows(frame, aggregate(pl.col(VALUE))):
            numbers, steps, values = (column.to_numpy() for column in windows.sort(SERIES).get_columns())
            yield WindowValues(numbers, steps, values / seconds)

    def _windows(self, frame: pl.DataFrame, value: pl.Expr) -> Iterator[pl.DataFrame]:
        """SERIES, STEP and the value of what each window holds, of some steps after the other."""
        enter = self._index(pl.col(TIME) + self._offset_ns)
        leave = self._index(pl.col(TIME) + (self._offset_ns + self._range_ns))
        if self._is_tumbling:
            held = frame.with_columns(enter.alias(STEP)).filter(pl.col(STEP).is_between(0, len(self._steps) - 1))
            yield _aggregated(held, len(self._steps), value)
            return
        at_once = max(_COPIES_AT_ONCE // max(frame.height, 1), 1)
        for first in range(0, len(self._steps), at_once):
            end = min(first + at_once, len(self._steps))
            within = frame.filter(enter < end, leave > first)
            steps = pl.int_ranges(enter.clip(first, end), leave.clip(first, end)).alias(STEP)
            yield _aggregated(within.with_columns(steps).explode(STEP).drop_nulls(STEP), len(self._steps), value)

    def _aggregate(self) -> Callable[[pl.Expr], pl.Expr] | None:
        """The same function in Polars, if it has it."""
        match self._aggregation.operation:
            case "rate":
                return _AGGREGATES["sum_over_time"]
            case "quantile_over_time":
                q = self._aggregation.parameter
                assert q is not None
                return (lambda value: value.quantile(q, "linear")) if 0 <= q <= 1 else None
            case operation:
                return _AGGREGATES.get(operation)

    def _one_by_one(self, frame: pl.DataFrame) -> Iterator[WindowValues]:
        by_series = frame.sort(SERIES, TIME, maintain_order=True).group_by(SERIES, maintain_order=True)
        found = (
            (number, step, value)
            for number, times, values in by_series.agg(pl.col(TIME), pl.col(VALUE)).iter_rows()
            for step, value in values_in_windows(self._aggregation, SeriesSamples(times, values), self._steps)
        )
        while some := list(islice(found, _VALUES_AT_ONCE)):
            numbers, steps, values = zip(*some, strict=True)
            yield WindowValues(np.array(numbers, np.int64), np.array(steps, np.int64), np.array(values, np.float64))

    def _index(self, time: pl.Expr) -> pl.Expr:
        """The first step at or after the time; less than zero before them all."""
        # Floor division, so negated twice it rounds up.
        return -((self._steps.first_ns - time) // self._step_ns)

    def _of_totals(self, totals: Integers) -> npt.NDArray[np.float64]:
        match self._aggregation.operation:
            case "rate" | "bytes_rate":
                return totals / (self._range_ns / 1e9)
            case _:
                return totals.astype(np.float64)


def _aggregated(frame: pl.DataFrame, steps: int, value: pl.Expr) -> pl.DataFrame:
    """SERIES, STEP and the value for both; grouped by one number, as in `totals`."""
    key = (pl.col(SERIES).cast(pl.Int64) * steps + pl.col(STEP)).alias(_KEY)
    grouped = frame.group_by(key).agg(value)
    return grouped.select(pl.col(_KEY) // steps, (pl.col(_KEY) % steps).alias(STEP), VALUE).rename({_KEY: SERIES})
