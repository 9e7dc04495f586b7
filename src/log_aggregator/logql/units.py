"""Durations and sizes in LogQL: Prometheus' and Go's durations, go-humanize's byte sizes."""

import json
import re

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
_GO_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_GO_NS = {
    "ns": 1,
    "us": 1000,
    "µs": 1000,
    "μs": 1000,
    "ms": 1_000_000,
    "s": _SECOND_NS,
    "m": 60 * _SECOND_NS,
    "h": 3600 * _SECOND_NS,
}
_SIZE = re.compile(r"([0-9.,]+)\s*([a-zA-Z]*)")
_SIZE_UNITS = {
    "": 1,
    "b": 1,
    **{f"{prefix}{suffix}": 1000**power for power, prefix in enumerate("kmgtpe", 1) for suffix in ("", "b")},
    **{f"{prefix}i{suffix}": 1024**power for power, prefix in enumerate("kmgtpe", 1) for suffix in ("", "b")},
}


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
    position, seen = 0, 0
    while position < len(text):
        number = re.compile(r"[0-9]+").match(text, position)
        if number is None:
            return f"not a valid duration string: {_quoted(text)}"
        unit = re.compile(r"[^0-9]+").match(text, number.end())
        if unit is None:
            return f"not a valid duration string: {_quoted(text)}"
        if unit[0] not in ("y", "w", "d", "h", "m", "s", "ms"):
            return f"unknown unit {_quoted(unit[0])} in duration {_quoted(text)}"
        position, seen = unit.end(), seen + 1
    return f"not a valid duration string: {_quoted(text)}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def parse_go_duration(text: str) -> int:
    """Nanoseconds of a Go duration such as `1h30m`, `-1.5s`. Raises ValueError with Go's words."""
    body = text[1:] if text[:1] in ("-", "+") else text
    if body == "0":
        return 0
    position = total = 0
    while position < len(body):
        part = _GO_PART.match(body, position)
        if part is None:
            raise ValueError(f'time: invalid duration "{text}"')
        total += _go_part_ns(part[1], _GO_NS[part[2]])
        position = part.end()
    if not body:
        raise ValueError(f'time: invalid duration "{text}"')
    if total > _INT64 - 1:
        raise ValueError(f'time: invalid duration "{text}"')
    return -total if text[0] == "-" else total


def _go_part_ns(number: str, unit_ns: int) -> int:
    whole, _, fraction = number.partition(".")
    value = int(whole or "0") * unit_ns
    return value + int(fraction) * unit_ns // 10 ** len(fraction) if fraction else value


def parse_duration(text: str) -> int:
    """A LogQL duration: Prometheus' form if it is one, else Go's. Raises ValueError."""
    try:
        return parse_prometheus_duration(text)
    except ValueError:
        return parse_go_duration(text)


def format_go_duration(value_ns: int) -> str:
    """`1h0m0s`, `1.5s`, `100ms`, as Go prints durations."""
    if value_ns == 0:
        return "0s"
    sign, value = ("-", -value_ns) if value_ns < 0 else ("", value_ns)
    if value < _SECOND_NS:
        for unit, size in (("ms", 1_000_000), ("µs", 1000), ("ns", 1)):
            if value >= size:
                return f"{sign}{_decimal(value, size)}{unit}"
    seconds_ns = value % (60 * _SECOND_NS)
    minutes = value // (60 * _SECOND_NS)
    text = f"{_decimal(seconds_ns, _SECOND_NS)}s"
    if minutes:
        hours, minutes = divmod(minutes, 60)
        text = f"{hours}h{minutes}m{text}" if hours else f"{minutes}m{text}"
    return sign + text


def _decimal(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    if not rest:
        return str(whole)
    return f"{whole}." + str(rest).rjust(len(str(unit)) - 1, "0").rstrip("0")


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


def parse_bytes(text: str) -> int:
    """A size such as `20KB`, `1.5 MiB`: decimal units but for those with an i. Raises ValueError."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or match[2].lower() not in _SIZE_UNITS:
        raise ValueError(f"unhandled size name: {text}")
    value = float(match[1].replace(",", "")) * _SIZE_UNITS[match[2].lower()]
    if value >= 2**64:
        raise ValueError(f"too large: {text}")
    return int(value)


def format_bytes(value: int) -> str:
    """`20 kB` without the space, as go-humanize prints decimal sizes: two digits, one decimal below ten."""
    if value < 10:
        return f"{value}B"
    exponent = min((len(str(value)) - 1) // 3, 6)
    scaled = int(value / 1000**exponent * 10 + 0.5) / 10
    number = f"{scaled:.0f}" if scaled >= 10 else f"{scaled:.1f}"
    return number + ("B", "kB", "MB", "GB", "TB", "PB", "EB")[exponent]
