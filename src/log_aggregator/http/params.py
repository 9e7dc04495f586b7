"""Query parameters with Loki's defaults and Loki's words for what is wrong with them.

Source: the parameter rules of Loki's HTTP API (docs/http-api.md gives them in one table).
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Literal

from log_aggregator.engine.order import Direction
from log_aggregator.errors import ErrorCode, LogAggregatorError
from log_aggregator.logql.ast import Matcher
from log_aggregator.logql.parser import parse_selector
from log_aggregator.model.limits import Limits
from log_aggregator.services.query_limits import check_span, clamp_start

SECOND_NS = 1_000_000_000
DEFAULT_LIMIT = 100
DEFAULT_SINCE_NS = 3600 * SECOND_NS

_INT64 = 2**63
_INT64_DIGITS = 20
_MAX_LIMIT = 2**32 - 1
_INTEGER = re.compile(r"[+-]?\d+")
_FLOAT = re.compile(r"[+-]?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|inf(inity)?|nan)", re.IGNORECASE)
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:[.,](\d+))?(Z|[+-]\d\d:\d\d)")
# Prometheus durations: each unit at most once, from large to small.
_DURATION = re.compile(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")
_UNITS_MS = (365 * 86_400_000, 7 * 86_400_000, 86_400_000, 3_600_000, 60_000, 1000, 1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class InvalidParameter(LogAggregatorError):
    """A parameter that cannot be read, or is out of its range: `name` is its name, where the message has none."""

    code: ClassVar[ErrorCode] = ErrorCode.INVALID
    name: str = ""


class Params:
    """The values of a request's query string, followed by those of a posted form."""

    def __init__(self, *sources: Mapping[str, Sequence[str]]) -> None:
        self._sources = sources

    def all(self, name: str) -> list[str]:
        return [value for source in self._sources for value in source.get(name) or ()]

    def get(self, name: str) -> str:
        """The first value, "" if there is none: Go does not tell the two apart, and so Loki does not."""
        return next(iter(self.all(name)), "")


@dataclass(frozen=True, slots=True)
class Bounds:
    start_ns: int
    end_ns: int


def bounds(params: Params, now_ns: int) -> Bounds:
    """`start`, `end` and `since`; `since` counts from `end`, or from now where that is earlier."""
    since_ns = DEFAULT_SINCE_NS
    if text := params.get("since"):
        with _naming("since"):
            since_ns = duration(text)
    with _naming("end"):
        end_ns = timestamp(params.get("end"), now_ns)
    with _naming("start"):
        start_ns = timestamp(params.get("start"), min(end_ns, now_ns) - since_ns)
    return Bounds(start_ns, end_ns)


def ordered_bounds(params: Params, now_ns: int) -> Bounds:
    """Bounds whose end does not lie before their start."""
    found = bounds(params, now_ns)
    if found.end_ns < found.start_ns:
        raise InvalidParameter("end timestamp must not be before or equal to start time")
    return found


def allowed_bounds(params: Params, limits: Limits, now_ns: int) -> Bounds:
    """Ordered bounds that the tenant may ask for. Raises QueryRefused."""
    found = ordered_bounds(params, now_ns)
    start_ns = clamp_start(found.start_ns, found.end_ns, now_ns, limits)
    check_span(found.end_ns - start_ns, limits)
    return Bounds(start_ns, found.end_ns)


def instant(params: Params, now_ns: int) -> int:
    """`time` of an instant query."""
    with _about("time"):
        return timestamp(params.get("time"), now_ns)


def limit(params: Params) -> int:
    return positive(params, "limit", DEFAULT_LIMIT)


def positive(params: Params, name: str, default: int) -> int:
    """A limit by any name: Loki's words are the same for all."""
    text = params.get(name)
    with _about(name):
        value = integer(text) if text else default
    if value <= 0:
        raise InvalidParameter("limit must be a positive value")
    if value > _MAX_LIMIT:
        raise InvalidParameter(f"limit value {value} is out of range [0, {_MAX_LIMIT}]")
    return value


def direction(params: Params) -> Direction:
    text = params.get("direction")
    known: dict[str, Literal["forward", "backward"]] = {"": "backward", "FORWARD": "forward", "BACKWARD": "backward"}
    if text.upper() not in known:
        raise InvalidParameter(f"invalid direction '{text}'")
    return known[text.upper()]


def step(params: Params, range_: Bounds) -> int:
    """Nanoseconds, more than zero."""
    text = params.get("step")
    if not text:
        return max((range_.end_ns - range_.start_ns) // SECOND_NS // 250, 1) * SECOND_NS
    with _about("step"):
        value = seconds_or_duration(text)
    if value <= 0:
        raise InvalidParameter("zero or negative query resolution step widths are not accepted. Try a positive integer")
    return value


def interval(params: Params) -> int:
    """Nanoseconds, zero for none."""
    text = params.get("interval")
    with _about("interval"):
        value = seconds_or_duration(text) if text else 0
    if value < 0:
        raise InvalidParameter("interval must be >= 0")
    return value


def selector(text: str) -> tuple[Matcher, ...]:
    """The matchers of a bare selector, of which `{}` accepts every stream. Raises ParseError, NotASelector."""
    return () if text.replace(" ", "") == "{}" else parse_selector(text)


def integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise InvalidParameter(f"strconv.Atoi: parsing {_quoted(text)}: invalid syntax")
    value = _int(text)
    if not -_INT64 <= value < _INT64:
        raise InvalidParameter(f"strconv.Atoi: parsing {_quoted(text)}: value out of range")
    return value


def _int(text: str) -> int:
    """Of digits with a sign; of more digits than 64 bits have, any number that has more."""
    return int(text) if len(text.lstrip("+-0")) < _INT64_DIGITS else _INT64


def timestamp(text: str, default_ns: int) -> int:
    """Nanoseconds: ten digits or fewer are seconds, with a dot float seconds to the millisecond, else RFC 3339."""
    if not text:
        return default_ns
    if "." in text and _FLOAT.fullmatch(text):
        return _float_seconds(float(text))
    if _INTEGER.fullmatch(text):
        value = _int(text)
        if not -_INT64 <= value < _INT64:
            raise InvalidParameter(f"strconv.ParseInt: parsing {_quoted(text)}: value out of range")
        return value * SECOND_NS if len(text) <= 10 else value
    moment = _RFC3339.fullmatch(text)
    parsed = _rfc3339(moment) if moment else None
    if parsed is None:
        raise InvalidParameter(f"strconv.ParseInt: parsing {_quoted(text)}: invalid syntax")
    return parsed


def duration(text: str) -> int:
    """A Prometheus duration in nanoseconds."""
    match = _DURATION.fullmatch(text)
    if text == "":
        raise InvalidParameter("empty duration string")
    if text != "0" and match is None:
        raise InvalidParameter(f"not a valid duration string: {_quoted(text)}")
    counts = match.groups() if match else ()
    value = sum(_int(count) * unit for count, unit in zip(counts, _UNITS_MS, strict=False) if count)
    if value * 1_000_000 >= _INT64:
        raise InvalidParameter("duration out of range")
    return value * 1_000_000


def seconds_or_duration(text: str) -> int:
    """Float seconds or a Prometheus duration, in nanoseconds."""
    if _FLOAT.fullmatch(text):
        value = float(text) * SECOND_NS
        if math.isnan(value):
            return 0
        if abs(value) > _INT64:
            raise InvalidParameter(f"cannot parse {_quoted(text)} to a valid duration. It overflows int64")
        return int(value)
    try:
        return duration(text)
    except InvalidParameter as error:
        raise InvalidParameter(f"cannot parse {_quoted(text)} to a valid duration") from error


def _float_seconds(value: float) -> int:
    if not math.isfinite(value):
        raise InvalidParameter(f"not a time: {value}")
    fraction, whole = math.modf(value)
    return int(whole) * SECOND_NS + int(round(fraction * 1000) / 1000 * SECOND_NS)


def _rfc3339(match: "re.Match[str]") -> int | None:
    base, fraction, zone = match.groups()
    try:
        moment = datetime.fromisoformat(base + ("+00:00" if zone == "Z" else zone))
    except ValueError:
        return None
    since_epoch = moment - _EPOCH
    whole = since_epoch.days * 86_400 + since_epoch.seconds
    return whole * SECOND_NS + int((fraction or "0").ljust(9, "0")[:9])


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class _naming:
    """Puts the parameter's name before what is wrong with it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, InvalidParameter):
            raise InvalidParameter(f"could not parse '{self._name}' parameter: {error}") from error


@contextmanager
def _about(name: str) -> Iterator[None]:
    """Says which parameter is wrong, beside Loki's message, which does not."""
    try:
        yield
    except InvalidParameter as error:
        error.name = name
        raise
