"""Range aggregations over columns of samples, all windows in one pass: equal to `range_vector`, which is the meaning.

A sample at time t is in the windows of the steps from `enter` (the first whose window ends at or after t) up to, not
including, `leave` (the first whose window begins at or after t). Both follow from its `place`, one whole number.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import polars as pl
from polars.dataframe.group_by import GroupBy

from log_aggregator.engine.query_memory import SAMPLE_BYTES, QueryMemory
from log_aggregator.engine.range_vector import SeriesSamples, absent_labels, range_vectors
from log_aggregator.engine.steps import Steps
from log_aggregator.engine.vector import Sample, Vector
from log_aggregator.logql.ast import RangeAggregation
from log_aggregator.model.labels import Labels

SERIES, TIME, VALUE = "series", "time_ns", "value"
PLACE, ENTER, LEAVE, STEP, COUNT = "place", "enter", "leave", "step", "count"
_UNTIL = "until"
_KEY = "key"
TOTALS_SCHEMA = pl.Schema({SERIES: pl.UInt32, PLACE: pl.Int64, COUNT: pl.Int64, VALUE: pl.Int64})
COUNTED_SCHEMA = pl.Schema({SERIES: pl.UInt32, STEP: pl.Int64, COUNT: pl.Int64, VALUE: pl.Int64})
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
# A sample as Python's own numbers, where windows are computed one by one.
_PLAIN_SAMPLE_BYTES = 72


class Windows:
    """The windows of one aggregation at all steps. What they hold is held in `memory`."""

    def __init__(self, aggregation: RangeAggregation, steps: Steps, memory: QueryMemory | None = None) -> None:
        self.memory = memory or QueryMemory()
        self._aggregation = aggregation
        self._steps = steps
        self._range_ns = aggregation.range.range_ns
        self._offset_ns = aggregation.range.offset_ns
        # For one step alone, steps may be as long as one likes: all samples then enter at once, and leave at once.
        self._step_ns = steps.step_ns if len(steps) > 1 else max(steps.step_ns, self._range_ns)
        self._steps_in_range, rest_ns = divmod(self._range_ns, self._step_ns)
        self._is_even = not rest_ns
        self._begin_ns = steps.first_ns - self._offset_ns - self._range_ns  # exclusive
        self._end_ns = steps.last_ns - self._offset_ns
        # A place is the step at which a sample enters, counted from `_before` steps before the first: what is there has
        # left before the first step. Where a range is not a whole number of steps, samples that enter together may
        # leave one step apart: the place is then twice that, and one more for those that leave later.
        self._before = self._steps_in_range + 1
        self._places = (self._before + len(steps) + 1) * (1 if self._is_even else 2)
        self.numbers = pl.int_range(len(steps), eager=True)
        ends = [step - self._offset_ns for step in steps.times_ns]
        self.edges = pl.Series([*ends, *(end - self._range_ns for end in ends)], dtype=pl.Int64)
        """Times such that `search_sorted(edge, "right")` of ascending times counts the samples before each edge.

        First the ends of all windows, then their beginnings.
        """

    @property
    def _is_tumbling(self) -> bool:
        """Whether each window begins where the one before it ends."""
        return self._is_even and self._steps_in_range == 1

    @property
    def is_totalled(self) -> bool:
        return self._aggregation.operation in TOTALLED and self._aggregation.range.unwrap is None

    def totals(
        self, groups: pl.Series, group_count: int, times: pl.Series, values: pl.Series | None = None
    ) -> pl.DataFrame:
        """TOTALS_SCHEMA, but SERIES are groups, Int64: samples added up by group and place.

        Groups are whole numbers below `group_count`. Without values, which are whole numbers too, each sample is 1.
        Group and place are put into one number if it is not too large: to group by one takes a fraction of grouping by
        two.
        """
        frame = pl.DataFrame([groups.cast(pl.Int64).alias(SERIES), times.alias(TIME)])
        if values is not None:
            frame = frame.with_columns(values.cast(pl.Int64).alias(VALUE))
        enter = self._index(pl.col(TIME) + self._offset_ns)
        place = enter + self._before
        if not self._is_even:
            leave = self._index(pl.col(TIME) + (self._offset_ns + self._range_ns))
            place = place * 2 + (leave - enter - self._steps_in_range)
        low, high = times.min(), times.max()
        if low is not None and not (self._begin_ns < low and high <= self._end_ns):  # type: ignore[operator]
            # In no window, so in a place from where it leaves before it enters. It costs as much as all the rest.
            place = place.clip(0, self._places - 1)
        if group_count * self._places >= 1 << 63:
            return _summed(frame.group_by(SERIES, place.alias(PLACE)), values)
        key = (pl.col(SERIES) * self._places + place).alias(_KEY)
        if values is None:
            counted = frame.select_seq(key)[_KEY].value_counts(name=COUNT)
            counts = sums = counted[COUNT].cast(pl.Int64)
        else:
            counted = _summed(frame.group_by(key), values)
            counts, sums = counted[COUNT], counted[VALUE]
        keys = counted[_KEY]
        found = keys // self._places
        return pl.DataFrame(
            [found.alias(SERIES), (keys - found * self._places).alias(PLACE), counts, sums.alias(VALUE)]
        )

    def of_totals(
        self,
        series: Sequence[Labels],
        totals: Iterable[pl.DataFrame],
        counted: Iterable[pl.DataFrame],
    ) -> list[Vector]:
        """The vector of every step; `series` are what SERIES numbers.

        What `totals` gave, and COUNTED_SCHEMA of samples that were counted window by window. Raises QueryTooLarge.
        """
        entered = self._entered(totals)
        if self._is_tumbling:
            # Each sample is in the window of the one step at which it enters.
            at_steps = entered.filter(pl.col(ENTER) < pl.col(LEAVE)).select(
                SERIES, pl.col(ENTER).alias(STEP), COUNT, VALUE
            )
        else:
            at_steps = self._at_each_step(self._running(entered))
        every = pl.concat([at_steps, pl.concat([pl.DataFrame(schema=COUNTED_SCHEMA), *counted]).lazy()])
        summed = every.group_by(SERIES, STEP).sum().filter(pl.col(COUNT) > 0).sort(SERIES)
        frame = summed.select(COUNTED_SCHEMA.names()).collect()
        self.memory.hold("series", SAMPLE_BYTES * frame.height)
        vectors: list[Vector] = [[] for _ in range(len(self._steps))]
        for number, step, count, value in frame.iter_rows():
            vectors[step].append(Sample(series[number], self._of_total(count, value)))
        if self._aggregation.operation == "absent_over_time":
            absent = [Sample(absent_labels(self._aggregation.range.log.matchers), 1.0)]
            return [[] if vector else absent for vector in vectors]
        return vectors

    def _entered(self, totals: Iterable[pl.DataFrame]) -> pl.LazyFrame:
        """SERIES, ENTER, LEAVE, COUNT, VALUE."""
        frame, last = pl.concat([pl.DataFrame(schema=TOTALS_SCHEMA), *totals]), len(self._steps)
        enter = (pl.col(PLACE) if self._is_even else pl.col(PLACE) // 2) - self._before
        leave = enter + self._steps_in_range + (0 if self._is_even else pl.col(PLACE) % 2)
        return frame.lazy().select(
            SERIES, enter.clip(0, last).alias(ENTER), leave.clip(0, last).alias(LEAVE), COUNT, VALUE
        )

    def _running(self, entered: pl.LazyFrame) -> pl.DataFrame:
        """How much the windows hold, from STEP up to _UNTIL: what has entered less what has left."""
        changes = pl.concat(
            [
                entered.select(SERIES, pl.col(ENTER).alias(STEP), COUNT, VALUE),
                entered.select(SERIES, pl.col(LEAVE).alias(STEP), -pl.col(COUNT), -pl.col(VALUE)),
            ]
        )
        running = (
            changes.group_by(SERIES, STEP)
            .sum()
            .filter(pl.col(STEP) < len(self._steps))
            .sort(SERIES, STEP)
            .with_columns(pl.col(COUNT).cum_sum().over(SERIES), pl.col(VALUE).cum_sum().over(SERIES))
        )
        # A total holds until the next change.
        until = pl.col(STEP).shift(-1).over(SERIES).fill_null(len(self._steps))
        return running.with_columns(until.alias(_UNTIL)).filter(pl.col(COUNT) > 0).collect()

    def _at_each_step(self, running: pl.DataFrame) -> pl.LazyFrame:
        """COUNTED_SCHEMA of what windows hold from a step to another. Raises QueryTooLarge."""
        if running.is_empty():
            return pl.LazyFrame(schema=COUNTED_SCHEMA)
        # Before there are so many rows; what becomes of them is held for longer.
        rows_bytes = SAMPLE_BYTES * int((running[_UNTIL] - running[STEP]).sum())
        self.memory.hold("series", rows_bytes)
        self.memory.release(rows_bytes)
        steps = pl.int_ranges(STEP, _UNTIL).alias(STEP)
        return running.lazy().with_columns(steps).explode(STEP).select(COUNTED_SCHEMA.names())

    def of_samples(self, series: Sequence[Labels], samples: Iterable[pl.DataFrame]) -> list[Vector]:
        """The vector of every step, of SAMPLES_SCHEMA; samples of equal time stand in order of arrival.

        Raises QueryTooLarge.
        """
        frame = pl.concat([pl.DataFrame(schema=SAMPLES_SCHEMA), *samples])
        aggregate = self._aggregate()
        copies = min(-(-self._range_ns // self._steps.step_ns), len(self._steps))
        # What is not finite fails the comparison too.
        plain = frame.select((pl.col(VALUE).abs() < _MAX_MAGNITUDE).all() & ~pl.col(VALUE).is_nan().any()).item()
        if aggregate is None or copies > _MAX_COPIES or not plain:
            self.memory.hold("samples", _PLAIN_SAMPLE_BYTES * frame.height)
            return self._one_by_one(series, frame)
        if self._aggregation.operation not in _ORDERLESS:
            frame = frame.sort(TIME, maintain_order=True)
        seconds = self._range_ns / 1e9 if self._aggregation.operation == "rate" else 1.0
        vectors: list[Vector] = [[] for _ in range(len(self._steps))]
        for windows in self._windows(frame, aggregate(pl.col(VALUE))):
            self.memory.hold("series", SAMPLE_BYTES * windows.height)
            for number, step, value in windows.sort(SERIES).iter_rows():
                vectors[step].append(Sample(series[number], value / seconds))
        return vectors

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

    def _one_by_one(self, series: Sequence[Labels], frame: pl.DataFrame) -> list[Vector]:
        samples = {
            series[number]: SeriesSamples(times, values)
            for number, times, values in frame.sort(SERIES, TIME, maintain_order=True)
            .group_by(SERIES, maintain_order=True)
            .agg(pl.col(TIME), pl.col(VALUE))
            .iter_rows()
        }
        return range_vectors(self._aggregation, samples, self._steps)

    def _index(self, time: pl.Expr) -> pl.Expr:
        """The first step at or after the time; less than zero before them all."""
        # Floor division, so negated twice it rounds up.
        return -((self._steps.first_ns - time) // self._step_ns)

    def _of_total(self, count: int, value: int) -> float:
        match self._aggregation.operation:
            case "rate" | "bytes_rate":
                return value / (self._range_ns / 1e9)
            case "count_over_time" | "bytes_over_time":
                return float(value)
            case _:
                return float(count)


def _aggregated(frame: pl.DataFrame, steps: int, value: pl.Expr) -> pl.DataFrame:
    """SERIES, STEP and the value for both; grouped by one number, as in `totals`."""
    key = (pl.col(SERIES).cast(pl.Int64) * steps + pl.col(STEP)).alias(_KEY)
    grouped = frame.group_by(key).agg(value)
    return grouped.select(pl.col(_KEY) // steps, (pl.col(_KEY) % steps).alias(STEP), VALUE).rename({_KEY: SERIES})


def _summed(grouped: GroupBy, values: pl.Series | None) -> pl.DataFrame:
    """By group the count of its rows and the sum of their VALUE, which without values is the count too."""
    count = pl.len().cast(pl.Int64)
    return grouped.agg(count.alias(COUNT), count.alias(VALUE) if values is None else pl.col(VALUE).sum())
