"""Values of labels as numbers, durations and sizes, read as Go reads them."""

import math
from collections.abc import Callable

from log_aggregator.logql.template.errors import CallError
from log_aggregator.logql.template.gotime import parse_duration
from log_aggregator.logql.template.sizes import parse_size
from log_aggregator.logql.template.strconv import names_infinity, parse_float, quote_text

_SECOND_NS = 1_000_000_000

Conversion = Callable[[str], float]


class NotConvertible(ValueError):
    """In Go's words."""


def to_number(text: str) -> float:
    """Raises NotConvertible."""
    number = parse_float(text)
    if number is None:
        raise NotConvertible(f"strconv.ParseFloat: parsing {quote_text(text)}: invalid syntax")
    if math.isinf(number) and not names_infinity(text):
        raise NotConvertible(f"strconv.ParseFloat: parsing {quote_text(text)}: value out of range")
    return number


def to_duration_ns(text: str) -> int:
    """Go's durations only: no days. Raises NotConvertible."""
    try:
        return int(parse_duration(text))
    except CallError as error:
        raise NotConvertible(str(error)) from None


def to_seconds(text: str) -> float:
    """Raises NotConvertible."""
    seconds, rest_ns = divmod(abs(to_duration_ns(text)), _SECOND_NS)
    value = seconds + rest_ns / 1e9
    return -value if text.startswith("-") else value


def to_size_bytes(text: str) -> float:
    """Raises NotConvertible."""
    try:
        return parse_size(text)
    except CallError as error:
        raise NotConvertible(str(error)) from None
