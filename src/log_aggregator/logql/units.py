"""Durations and sizes in LogQL: Prometheus' and Go's durations, go-humanize's byte sizes."""

import json
import re

from log_aggregator.logql.template.gotime import parse_duration as parse_go_duration

_SECOND_NS = 1_000_000_000
_DAY_NS = 86_400 * _SECOND_NS
_INT64 = 2**63

_PROMETHEUS = re.compile(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?", re.ASCII)
_PROMETHEUS_NS = (
    365 * _DAY_NS,
    7 * _DAY_NS,
    _DAY_NS,
    3600 * _SECOND_NS,
    60 * _SECOND_NS,
    _SECOND_NS,
    1_000_000,
)


def parse_prometheus_duration(text: str) -> int:
    """Nanoseconds. Raises ValueError with Prometheus' words."""
    if text == "0":
        return 0
    if text == "":
        raise ValueError("empty duration string")
    match = _PROMETHEUS.fullmatch(text)
    if match is None:
        raise ValueError(_duration_problem(text))
    value = sum(int(count) * unit for count, unit in zip(match.groups(), _PROMETHEUS_NS, strict=True) if count)
    if value >= _INT64:
        raise ValueError("duration out of range")
    return value


def _duration_problem(text: str) -> str:
    before, *units = re.split("[0-9]+", text)
    unknown = next((unit for unit in units if unit and unit not in ("y", "w", "d", "h", "m", "s", "ms")), None)
    if before or unknown is None:
        return f"not a valid duration string: {_quoted(text)}"
    return f"unknown unit {_quoted(unknown)} in duration {_quoted(text)}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def parse_duration(text: str) -> int:
    """A LogQL duration: Prometheus' form if it is one, else Go's. Raises CallError, in Go's words."""
    try:
        return parse_prometheus_duration(text)
    except ValueError:
        return parse_go_duration(text)


def format_prometheus_duration(value_ns: int) -> str:
    """`1d1h`, `5m`: whole milliseconds, as Prometheus prints durations."""
    milliseconds = abs(value_ns) // 1_000_000
    if milliseconds == 0:
        return "0s"
    parts = []
    units = (("y", 31_536_000_000), ("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000))
    for unit, size in (*units, ("ms", 1)):
        # Years and weeks only where nothing is left over.
        if unit in ("y", "w") and milliseconds % size:
            continue
        if count := milliseconds // size:
            parts.append(f"{count}{unit}")
            milliseconds -= count * size
    return ("-" if value_ns < 0 else "") + "".join(parts)


def format_bytes(value: int) -> str:
    """`20 kB` without the space, as go-humanize prints decimal sizes: two digits, one decimal below ten."""
    if value < 10:
        return f"{value}B"
    exponent = min((len(str(value)) - 1) // 3, 6)
    scaled = int(value / 1000**exponent * 10 + 0.5) / 10
    number = f"{scaled:.0f}" if scaled >= 10 else f"{scaled:.1f}"
    return number + ("B", "kB", "MB", "GB", "TB", "PB", "EB")[exponent]
