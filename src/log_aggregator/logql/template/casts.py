"""Any value to a number, as the arithmetic functions take their arguments: what is no number counts as 0."""

import math
import re

from log_aggregator.logql.template.strconv import (
    MAX_INT64,
    MIN_INT64,
    names_infinity,
    parse_float,
    parse_int,
)
from log_aggregator.logql.template.values import Value

_PLAIN_INTEGER = re.compile(r"[1-9][0-9]{0,17}")
# So many digits at most that the number is finite.
_PLAIN_FLOAT = re.compile(rb"[0-9]{1,200}(?:\.[0-9]{1,200})?")
_WITH_FRACTION = re.compile(r"([-+]?[0-9]*)\.[0-9]*")


def to_int(value: Value) -> int:
    """To a 64-bit integer; floats and decimal texts lose their fraction, `010` is octal."""
    match value:
        case bytes():
            return _text_to_int(value.decode("latin-1"))
        case float():
            return _float_to_int(value)
        case int():
            return int(value)
        case _:
            return 0


def to_float(value: Value) -> float:
    match value:
        case bytes() if _PLAIN_FLOAT.fullmatch(value):
            return float(value)
        case bytes():
            text = value.decode("latin-1")
            number = parse_float(text)
            if number is None or (math.isinf(number) and not names_infinity(text)):
                return 0.0
            return number
        case int() | float():
            return float(value)
        case _:
            return 0.0


def _text_to_int(text: str) -> int:
    if _PLAIN_INTEGER.fullmatch(text):
        return int(text)
    if found := _WITH_FRACTION.fullmatch(text):
        text = found[1] if found[1] not in ("", "+", "-") else "0"
    number = parse_int(text)
    return number if number is not None and MIN_INT64 <= number <= MAX_INT64 else 0


def _float_to_int(value: float) -> int:
    # Out of range Go leaves the result to the processor; x86-64 gives the least integer.
    return int(value) if -(2.0**63) <= value < 2.0**63 else MIN_INT64
