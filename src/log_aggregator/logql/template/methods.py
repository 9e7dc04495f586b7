"""Methods of times, durations and the like, such as `{{ __timestamp__.Year }}`."""

from collections.abc import Callable

from log_aggregator.logql.template.errors import CallError
from log_aggregator.logql.template.gotime import UTC, ZERO_TIME, Duration, Location, Month, Time, Weekday
from log_aggregator.logql.template.layout import describe_time, format_time
from log_aggregator.logql.template.limits import check_size
from log_aggregator.logql.template.signatures import Function, Type
from log_aggregator.logql.template.strconv import MAX_INT64, MIN_INT64
from log_aggregator.logql.template.values import Int64, Value


def _getter(call: Callable[..., Value]) -> Function:
    return Function((), call)


def format_bounded(time: Time, layout: bytes) -> bytes:
    """Format a time; no element of a layout becomes longer than ten times its own length."""
    check_size(10 * len(layout))
    return format_time(time, layout)


def _rounded(duration: Duration, multiple: Duration) -> Duration:
    """Round half away from zero."""
    if multiple <= 0:
        return duration
    sign = -1 if duration < 0 else 1
    rounded = sign * ((2 * abs(duration) + multiple) // (2 * multiple) * multiple)
    return Duration(min(max(rounded, MIN_INT64), MAX_INT64))


def _truncated(duration: Duration, multiple: Duration) -> Duration:
    if multiple <= 0:
        return duration
    sign = -1 if duration < 0 else 1
    return Duration(sign * (abs(duration) // multiple * multiple))


def _in(time: Time, location: Location | None) -> Time:
    if location is None:
        raise CallError("time: missing Location in call to Time.In")
    return time.seen_from(location)


_TIME: dict[str, Function] = {
    "Add": Function((Type.DURATION,), lambda time, duration: time.add(duration)),
    "AddDate": Function((Type.INT,) * 3, Time.add_date),
    "After": Function((Type.TIME,), lambda time, other: time.unix_ns > other.unix_ns),
    "Before": Function((Type.TIME,), lambda time, other: time.unix_ns < other.unix_ns),
    "Compare": Function((Type.TIME,), lambda time, other: _sign(time.unix_ns - other.unix_ns)),
    "Day": _getter(lambda time: time.date()[2]),
    "Equal": Function((Type.TIME,), lambda time, other: time.unix_ns == other.unix_ns),
    "Format": Function((Type.STRING,), format_bounded),
    "Hour": _getter(lambda time: time.clock()[0]),
    "In": Function((Type.LOCATION,), _in),
    "IsZero": _getter(lambda time: time.unix_ns == ZERO_TIME.unix_ns),
    "Local": _getter(lambda time: time.seen_from(UTC)),
    "Location": _getter(lambda time: time.location),
    "Minute": _getter(lambda time: time.clock()[1]),
    "Month": _getter(lambda time: Month(time.date()[1])),
    "Nanosecond": _getter(lambda time: time.nanosecond),
    "Round": Function((Type.DURATION,), lambda time, duration: time.round(duration)),
    "Second": _getter(lambda time: time.clock()[2]),
    "String": _getter(describe_time),
    "Sub": Function((Type.TIME,), lambda time, other: time.since(other)),
    "Truncate": Function((Type.DURATION,), lambda time, duration: time.truncate(duration)),
    "UTC": _getter(lambda time: time.seen_from(UTC)),
    "Unix": _getter(lambda time: Int64(time.unix)),
    "UnixMicro": _getter(lambda time: Int64(time.wrapped_unix(1_000))),
    "UnixMilli": _getter(lambda time: Int64(time.wrapped_unix(1_000_000))),
    "UnixNano": _getter(lambda time: Int64(time.wrapped_unix(1))),
    "Weekday": _getter(Time.weekday),
    "Year": _getter(lambda time: time.date()[0]),
    "YearDay": _getter(Time.year_day),
}

_DURATION: dict[str, Function] = {
    "Abs": _getter(lambda duration: Duration(min(abs(duration), MAX_INT64))),
    "Hours": _getter(lambda duration: duration.in_units(3_600_000_000_000)),
    "Microseconds": _getter(lambda duration: Int64(_quotient(duration, 1_000))),
    "Milliseconds": _getter(lambda duration: Int64(_quotient(duration, 1_000_000))),
    "Minutes": _getter(lambda duration: duration.in_units(60_000_000_000)),
    "Nanoseconds": _getter(Int64),
    "Round": Function((Type.DURATION,), _rounded),
    "Seconds": _getter(lambda duration: duration.in_units(1_000_000_000)),
    "String": _getter(lambda duration: str(duration).encode()),
    "Truncate": Function((Type.DURATION,), _truncated),
}

_STRING_ONLY: dict[str, Function] = {"String": _getter(lambda value: str(value).encode())}

METHODS: dict[type, dict[str, Function]] = {
    Time: _TIME,
    Duration: _DURATION,
    Month: _STRING_ONLY,
    Weekday: _STRING_ONLY,
    Location: _STRING_ONLY,
}


def _quotient(value: int, divisor: int) -> int:
    """Divide towards zero."""
    return -(-value // divisor) if value < 0 else value // divisor


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)
