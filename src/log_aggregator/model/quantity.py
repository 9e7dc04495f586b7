"""Durations, times and sizes as people write and read them; inside they are plain integers.

Every unit of Go's and of Prometheus' durations is understood everywhere, where Loki takes one or the other by key.
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Final

from pydantic import BeforeValidator, PlainSerializer

_SECOND_NS: Final = 1_000_000_000
_UNIT_NS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": _SECOND_NS,
    "m": 60 * _SECOND_NS,
    "h": 3_600 * _SECOND_NS,
    "d": 86_400 * _SECOND_NS,
    "w": 7 * 86_400 * _SECOND_NS,
    "y": 365 * 86_400 * _SECOND_NS,
}
_DURATION_PART: Final = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|[smhdwy])")
_DURATION: Final = re.compile(f"(?:{_DURATION_PART.pattern})+")

# Powers of 1024 in either spelling, as Loki reads them.
_SIZE_UNIT_BYTES: Final = {"": 1, "B": 1} | {
    f"{prefix}{suffix}": 1 << shift
    for prefix, shift in (("K", 10), ("M", 20), ("G", 30), ("T", 40), ("P", 50), ("E", 60))
    for suffix in ("", "B", "I", "IB")
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SIZE: Final = re.compile(r"(\d+\.?\d*|\.\d+)\s*([A-Za-z]*)")


def parse_duration(text: str) -> int:
    """Nanoseconds of `30s`, `1h30m`, `1.5d`, `-1s`, `0`. Raises ValueError."""
    sign, body = (-1, text[1:]) if text.startswith("-") else (1, text)
    if body == "0":
        return 0
    if _DURATION.fullmatch(body) is None:
        raise ValueError("not a duration; write a number with a unit, such as 30s, 1h30m or 7d")
    return sign * int(sum(Decimal(number) * _UNIT_NS[unit] for number, unit in _DURATION_PART.findall(body)))


def format_duration(value_ns: int) -> str:
    """`1h30m0s`, as Go prints durations."""
    sign, rest = ("-", -value_ns) if value_ns < 0 else ("", value_ns)
    if rest < _SECOND_NS:
        unit = next((unit for unit in ("ms", "µs", "ns") if rest >= _UNIT_NS[unit]), "s")
        return f"{sign}{_decimal(rest, _UNIT_NS[unit])}{unit}"
    hours, rest = divmod(rest, _UNIT_NS["h"])
    minutes, rest = divmod(rest, _UNIT_NS["m"])
    text = f"{_decimal(rest, _SECOND_NS)}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{text}"
    return f"{sign}{minutes}m{text}" if minutes else sign + text


def parse_time(text: str) -> int:
    """Nanoseconds since 1970 of `2026-01-31`, `2026-01-31T12:00:00Z`, or `0`. Raises ValueError."""
    if text in ("", "0"):
        return 0
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError("not a time; write it as 2026-01-31T12:00:00Z") from error
    since = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)) - _EPOCH
    return since // timedelta(microseconds=1) * 1_000


def format_time(value_ns: int) -> str:
    """What `parse_time` reads."""
    return format_rfc3339(value_ns) if value_ns else "0"


def format_rfc3339(time_ns: int) -> str:
    """In UTC, with as many digits of the second as it takes."""
    seconds, fraction = divmod(time_ns, _SECOND_NS)
    moment = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{moment}.{fraction:09d}".rstrip("0").removesuffix(".") + "Z"


def _decimal(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    return f"{whole}.{rest:0{len(str(unit)) - 1}d}".rstrip("0") if rest else str(whole)


def parse_size(text: str) -> int:
    """Bytes of `256KB`, `1.5 GB`, `4MiB`, `1024`. Raises ValueError."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or match[2].upper() not in _SIZE_UNIT_BYTES:
        raise ValueError("not a size; write bytes or a number with a unit, such as 256KB, 4MB or 1.5GB")
    return int(Decimal(match[1]) * _SIZE_UNIT_BYTES[match[2].upper()])


def format_size(value_bytes: int) -> str:
    """`256KB`, in the largest unit that leaves a whole number."""
    for unit in ("EB", "PB", "TB", "GB", "MB", "KB"):
        if value_bytes and value_bytes % _SIZE_UNIT_BYTES[unit] == 0:
            return f"{value_bytes // _SIZE_UNIT_BYTES[unit]}{unit}"
    return f"{value_bytes}B"


def _duration_of(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _time_of(value: object) -> object:
    return parse_time(value) if isinstance(value, str) else value


def _size_of(value: object) -> object:
    return parse_size(value) if isinstance(value, str) else value


Duration = Annotated[int, BeforeValidator(_duration_of), PlainSerializer(format_duration, when_used="json")]
"""Nanoseconds."""

ByteSize = Annotated[int, BeforeValidator(_size_of), PlainSerializer(format_size, when_used="json")]
"""Bytes."""

Time = Annotated[int, BeforeValidator(_time_of), PlainSerializer(format_time, when_used="json")]
"""Nanoseconds since 1970; 0: never."""
