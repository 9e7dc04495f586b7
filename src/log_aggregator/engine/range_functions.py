"""What a range aggregation makes of the samples of one series in one window.

Each function takes the window's times (nanoseconds, ascending) and values, never empty, and its end and length.
Semantics follow Loki's documentation of range aggregations; `rate_counter` follows Prometheus' `rate`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from log_aggregator.logql.arithmetic import square_root

_SECOND_NS = 1_000_000_000
# Prometheus: a series is taken to go on to the window's edge if its first or last sample is at most this many
# sampling intervals away.
_EXTRAPOLATION_INTERVALS = 1.1


@dataclass(frozen=True, slots=True)
class Window:
    """Samples in `(end_ns - range_ns, end_ns]`."""

    times_ns: Sequence[int]
    values: Sequence[float]
    end_ns: int
    range_ns: int

    @property
    def seconds(self) -> float:
        return self.range_ns / _SECOND_NS


RangeFunction = Callable[[Window], float]


def count_over_time(window: Window) -> float:
    return float(len(window.values))


def count_rate(window: Window) -> float:
    """`rate` of log lines."""
    return len(window.values) / window.seconds


def sum_over_time(window: Window) -> float:
    total = 0.0
    for value in window.values:  # math.fsum and sum differ in the last bits, and raise on infinities
        total += value
    return total


def sum_rate(window: Window) -> float:
    """`rate` of unwrapped values, and `bytes_rate`."""
    return sum_over_time(window) / window.seconds


def avg_over_time(window: Window) -> float:
    """A running mean, which does not overflow. An infinite mean stays as it is, but for an opposite infinity or NaN."""
    mean = 0.0
    for count, value in enumerate(window.values, 1):
        if math.isinf(mean) and not math.isnan(value) and value != -mean:
            continue
        mean += value / count - mean / count
    return mean


def max_over_time(window: Window) -> float:
    """NaN only if there is nothing else."""
    return max((value for value in window.values if not math.isnan(value)), default=math.nan)


def min_over_time(window: Window) -> float:
    """NaN only if there is nothing else."""
    return min((value for value in window.values if not math.isnan(value)), default=math.nan)


def stdvar_over_time(window: Window) -> float:
    """The population variance, by Welford's method."""
    squares = mean = 0.0
    for count, value in enumerate(window.values, 1):
        delta = value - mean
        mean += delta / count
        squares += delta * (value - mean)
    return squares / len(window.values)


def stddev_over_time(window: Window) -> float:
    return square_root(stdvar_over_time(window))


def first_over_time(window: Window) -> float:
    return window.values[0]


def last_over_time(window: Window) -> float:
    return window.values[-1]


def quantile_over_time(q: float) -> RangeFunction:
    return lambda window: quantile(q, window.values)


def quantile(q: float, values: Sequence[float]) -> float:
    """Linear interpolation between the two nearest ranks. NaN sorts first; a q outside [0, 1] is an infinity."""
    if q < 0:
        return -math.inf
    if q > 1:
        return math.inf
    ranked = sorted(values, key=lambda value: -math.inf if math.isnan(value) else value)
    rank = q * (len(ranked) - 1)
    lower = max(0, math.floor(rank))
    upper = min(len(ranked) - 1, lower + 1)
    weight = rank - math.floor(rank)
    return ranked[lower] * (1 - weight) + ranked[upper] * weight


def rate_counter(window: Window) -> float:
    """The rise of a counter a second, resets taken into account, extrapolated to the edges of the window."""
    times, values = window.times_ns, window.values
    if len(values) < 2:
        return 0.0
    rise = values[-1] - values[0]
    for before, after in pairwise(values):
        if after < before:
            rise += before
    sampled = (times[-1] - times[0]) / _SECOND_NS
    if sampled == 0:
        return math.nan
    between = sampled / (len(values) - 1)
    to_start = _reach((times[0] - (window.end_ns - window.range_ns)) / _SECOND_NS, between)
    to_end = _reach((window.end_ns - times[-1]) / _SECOND_NS, between)
    if rise > 0 and values[0] >= 0:
        to_start = min(to_start, sampled * (values[0] / rise))  # a counter was never below zero
    return rise * ((sampled + to_start + to_end) / sampled) / window.seconds


def _reach(distance: float, between: float) -> float:
    """How far beyond its outermost sample a series is taken to go on."""
    return between / 2 if distance >= between * _EXTRAPOLATION_INTERVALS else distance
