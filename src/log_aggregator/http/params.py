"""Query parameters with Loki's defaults and Loki's words for what is wrong with them.

Source: the parameter rules of Loki's HTTP API, and of its code where that says less.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Literal

from log_aggregator.engine.order import Direction
from log_aggregator.errors import ErrorCode, LogAggregatorError
from log_aggregator.logql.ast import Matcher
from log_aggregator.logql.parser import parse_selector
from log_aggregator.logql.template.strconv import names_infinity, parse_float, quote_text
from log_aggregator.logql.units import parse_prometheus_duration
from log_aggregator.model.limits import Limits
from log_aggregator.services.query_limits import check_order, check_resolution, check_span, seen_start

SECOND_NS = 1_000_000_000
DEFAULT_LIMIT = 100
DEFAULT_SINCE_NS = 3600 * SECOND_NS

_INT64 = 2**63
_INT64_DIGITS = 20
_MAX_NUMBER = 2**32 - 1
_INTEGER = re.compile(r"[+-]?[0-9]+")
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:[.,](\d+))?(Z|[+-]\d\d:\d\d)", re.ASCII)
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})[^&=]{0,2}", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class InvalidParameter(LogAggregatorError):
    """A parameter that cannot be read, or is out of its range: `name` is its name, where the message has none."""

    code: ClassVar[ErrorCode] = ErrorCode.INVALID
    name: str = ""


def check_encoding(text: str) -> None:
    """Raises InvalidParameter if a query string or form is not encoded as Go asks for."""
    if ";" in text:
        raise InvalidParameter("invalid semicolon separator in query")
    if broken := _BROKEN_ESCAPE.search(text):
        raise InvalidParameter(f"invalid URL escape {quote_text(broken[0])}")


class Params:
    """The values of a posted form, followed by those of the query string: also in Go, the first ones count."""

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


def allowed(found: Bounds, limits: Limits, now_ns: int) -> Bounds | None:
    """What `max_query_lookback` leaves of the bounds. Raises QueryRefused where the tenant may not ask for them."""
    start_ns = seen_start(found.start_ns, found.end_ns, now_ns, limits)
    if start_ns is None:
        return None
    check_span(start_ns, found.end_ns, limits)
    check_order(start_ns, found.end_ns)
    return Bounds(start_ns, found.end_ns)


def instant(params: Params, now_ns: int) -> int:
    """`time` of an instant query."""
    with _about("time"):
        return timestamp(params.get("time"), now_ns)


def limit(params: Params) -> int:
    return positive(params.get("limit"), "limit", DEFAULT_LIMIT)


def positive(text: str, name: str, default: int) -> int:
    """A limit by any name."""
    if (value := _integer_or(text, name, default)) <= 0:
        raise InvalidParameter("limit must be a positive value")
    return _bounded(value, name)


def natural(text: str, name: str, default: int) -> int:
    return _bounded(_integer_or(text, name, default), name)


def _integer_or(text: str, name: str, default: int) -> int:
    with _about(name):
        return integer(text) if text else default


def _bounded(value: int, name: str) -> int:
    if not 0 <= value <= _MAX_NUMBER:
        raise InvalidParameter(f"{name} value {value} is out of range [0, {_MAX_NUMBER}]")
    return value


def direction(params: Params) -> Direction:
    text = params.get("direction")
    known: dict[str, Literal["forward", "backward"]] = {"": "backward", "FORWARD": "forward", "BACKWARD": "backward"}
    if text.upper() not in known:
        raise InvalidParameter(f"invalid direction '{text}'")
    return known[text.upper()]


def step(params: Params, range_: Bounds) -> int:
    """Nanoseconds, more than zero. Raises QueryRefused if it makes too many points of the range."""
    text = params.get("step")
    if not text:
        return max((range_.end_ns - range_.start_ns) // SECOND_NS // 250, 1) * SECOND_NS
    with _about("step"):
        value = seconds_or_duration(text)
    if value <= 0:
        raise InvalidParameter("zero or negative query resolution step widths are not accepted. Try a positive integer")
    check_resolution(range_.start_ns, range_.end_ns, value)
    return value


def interval(params: Params) -> int:
    """Nanoseconds, zero for none."""
    text = params.get("interval")
    with _about("interval"):
        value = seconds_or_duration(text) if text else 0
    if value < 0:
        raise InvalidParameter("interval must be >= 0")
    return value


@dataclass(frozen=True, slots=True)
class Ranged:
    """What Loki reads of a range query, and of other requests as if they were one."""

    bounds: Bounds
    limit: int
    direction: Direction
    step_ns: int
    interval_ns: int


def ranged(params: Params, now_ns: int, read_limit: Callable[[Params], int] = limit) -> Ranged:
    """Read in Loki's order: of several mistakes, the first one is told."""
    found = ordered_bounds(params, now_ns)
    return Ranged(found, read_limit(params), direction(params), step(params, found), interval(params))


def selector(text: str) -> tuple[Matcher, ...]:
    """The matchers of a bare selector, of which `{}` accepts every stream. Raises ParseError, NotASelector."""
    return () if text.replace(" ", "") == "{}" else parse_selector(text)


def optional_selector(params: Params) -> tuple[Matcher, ...]:
    """`query`, every stream where there is none. Raises ParseError, NotASelector."""
    text = params.get("query")
    return parse_selector(text) if text else ()


def integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise InvalidParameter(f"strconv.Atoi: parsing {quote_text(text)}: invalid syntax")
    value = _int(text)
    if not -_INT64 <= value < _INT64:
        raise InvalidParameter(f"strconv.Atoi: parsing {quote_text(text)}: value out of range")
    return value


def _int(text: str) -> int:
    """Of digits with a sign; of more digits than 64 bits have, any number that has more."""
    return int(text) if len(text.lstrip("+-0")) < _INT64_DIGITS else _INT64


def timestamp(text: str, default_ns: int) -> int:
    """Nanoseconds: ten digits or fewer are seconds, with a dot float seconds to the millisecond, else RFC 3339."""
    if not text:
        return default_ns
    if "." in text and (seconds := parse_float(text)) is not None:
        return _float_seconds(seconds)
    if _INTEGER.fullmatch(text):
        value = _int(text)
        if not -_INT64 <= value < _INT64:
            raise InvalidParameter(f"strconv.ParseInt: parsing {quote_text(text)}: value out of range")
        return value * SECOND_NS if len(text) <= 10 else value
    moment = _RFC3339.fullmatch(text)
    parsed = _rfc3339(moment) if moment else None
    if parsed is None:
        raise InvalidParameter(f"strconv.ParseInt: parsing {quote_text(text)}: invalid syntax")
    return parsed


def duration(text: str) -> int:
    """A Prometheus duration in nanoseconds."""
    try:
        return parse_prometheus_duration(text)
    except ValueError as error:
        raise InvalidParameter(str(error)) from error


def seconds_or_duration(text: str) -> int:
    """Float seconds or a Prometheus duration, in nanoseconds. What is no number is the least one, as Go converts it."""
    seconds = parse_float(text)
    if seconds is not None and (not math.isinf(seconds) or names_infinity(text)):
        value = seconds * SECOND_NS
        if abs(value) > _INT64:
            raise InvalidParameter(f"cannot parse {quote_text(text)} to a valid duration. It overflows int64")
        return -_INT64 if math.isnan(value) else int(value)
    try:
        return duration(text)
    except InvalidParameter as error:
        raise InvalidParameter(f"cannot parse {quote_text(text)} to a valid duration") from error


def _float_seconds(value: float) -> int:
    if not math.isfinite(value):
        raise InvalidParameter(f"not a time: {value}")
    fraction, whole = math.modf(value)
    # Half a millisecond is one, as Go rounds: Python's round would take the even one.
    milliseconds = math.copysign(math.floor(abs(fraction) * 1000 + 0.5), fraction)
    return int(whole) * SECOND_NS + int(milliseconds / 1000 * SECOND_NS)


def _rfc3339(match: "re.Match[str]") -> int | None:
    base, fraction, zone = match.groups()
    east, hours, minutes = (1, 0, 0) if zone == "Z" else (int(zone[0] + "1"), int(zone[1:3]), int(zone[4:]))
    if hours > 24 or minutes > 60:  # Go lets as much pass
        return None
    try:
        moment = datetime.fromisoformat(base + "+00:00")
    except ValueError:
        return None
    since_epoch = moment - _EPOCH
    whole = since_epoch.days * 86_400 + since_epoch.seconds - east * (hours * 3600 + minutes * 60)
    return whole * SECOND_NS + int((fraction or "0").ljust(9, "0")[:9])


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Puts the parameter's name before what is wrong with it."""
    try:
        yield
    except InvalidParameter as error:
        raise InvalidParameter(f"could not parse '{name}' parameter: {error}") from error


@contextmanager
def _about(name: str) -> Iterator[None]:
    """Says which parameter is wrong, beside Loki's message, which does not."""
    try:
        yield
    except InvalidParameter as error:
        error.name = name
        raise
