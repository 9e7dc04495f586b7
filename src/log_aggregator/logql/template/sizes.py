"""Sizes as go-humanize reads them."""

import math
import re

from log_aggregator.logql.template.errors import CallError
from log_aggregator.logql.template.escapes import to_lower
from log_aggregator.logql.template.strconv import SPACE, decode_utf8, encode_utf8, parse_float, quote_text

_UNITS = {"": 1, "b": 1}
for _power, _letter in enumerate("kmgtpe", start=1):
    _UNITS |= {_letter: 1000**_power, f"{_letter}b": 1000**_power}
    _UNITS |= {f"{_letter}i": 1024**_power, f"{_letter}ib": 1024**_power}
_SIZE = re.compile(r"([0-9.,]*)(.*)", re.DOTALL)


def parse_size(text: str) -> float:
    """The number of bytes in `2 KB` or `10MiB`; raises CallError with Go's message."""
    found = _SIZE.fullmatch(text)
    assert found is not None  # matches anything
    digits = found[1].replace(",", "")
    number = parse_float(digits)
    if number is None:
        raise CallError(f"strconv.ParseFloat: parsing {quote_text(digits)}: invalid syntax")
    if math.isinf(number):
        raise CallError(f"strconv.ParseFloat: parsing {quote_text(digits)}: value out of range")
    unit = decode_utf8(to_lower(encode_utf8(found[2].strip(SPACE))))
    if unit not in _UNITS:
        raise CallError(f"unhandled size name: {unit}")
    number *= _UNITS[unit]
    if number >= 2.0**64:
        raise CallError(f"too large: {text}")
    return float(int(number))
