"""`ip("...")` over a column of lines: equal to a search of each line by `line_filter.addresses_in`.

That looks for addresses from left to right, and what it takes for one goes as far as there are hexadecimal digits,
colons and dots. So it finds in a line what it finds in each of its longest *runs* of these, but for what reaches to the
end of a run or beyond, which is shorter than an address then. Few lines need such a search:

- Python accepts one spelling of an IPv4 address. One that stands in a line with something else than such characters
  around it is found. One that is nowhere in the line is not.
- An IPv6 address has `::` or begins with six groups that colons end, and the first group, unless it is 0, is written.

What remains is searched run by run, each different one once.
"""

from collections.abc import Callable
from ipaddress import IPv4Address

import polars as pl

from log_aggregator.engine.line_filter import addresses_in
from log_aggregator.logql.ip import IpPattern
from log_aggregator.model.columns import constant

_OF_RUNS = "[0-9A-Fa-f:.]*"
# What a search surely comes to: it is not inside anything that begins earlier.
_BEFORE = r"(?:\A|[^0-9A-Fa-f:.]):?"
_BEHIND = r"(?:[^0-9.]|\z)"
_ANY_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_MADE_OF_GROUPS = "(?:::|(?:[0-9A-Fa-f]{1,4}:){6})"


def address_mask(pattern: IpPattern, lines: pl.Series) -> pl.Series:
    """Which lines hold an address of the pattern; null for null, or false."""
    if pattern.has_zone:
        return constant(value=False, rows=len(lines), dtype=pl.Boolean)
    if isinstance(pattern.low, IPv4Address):
        return _holding_ipv4(pattern, lines)
    return _holding_ipv6(pattern, lines)


def _holding_ipv4(pattern: IpPattern, lines: pl.Series) -> pl.Series:
    low, high = pattern.low.packed, pattern.high.packed
    shared = next((number for number in range(4) if low[number] != high[number]), 4)
    spelt = _spelt(low, high)

    def hold(some: pl.Series) -> pl.Series:
        sure = some.str.contains(_BEFORE + spelt + _BEHIND)
        return sure | _where(some, ~sure, lambda doubtful: _searched(pattern, spelt, doubtful))

    if not shared:
        return hold(lines)
    beginning = ".".join(map(str, low[:shared])) + ("." if shared < 4 else "")
    return _where(lines, lines.str.contains(beginning, literal=True), hold)


def _holding_ipv6(pattern: IpPattern, lines: pl.Series) -> pl.Series:
    low, high = (int(address) >> 112 for address in (pattern.low, pattern.high))

    def hold(some: pl.Series) -> pl.Series:
        return _searched(pattern, _MADE_OF_GROUPS, some)

    if low != high or not low:
        return hold(lines)
    return _where(lines, lines.str.contains(f"(?i){low:x}:"), hold)


def _searched(pattern: IpPattern, needed: str, lines: pl.Series) -> pl.Series:
    """As `address_mask`; a run that does not match what is needed has no address of the pattern."""

    def hold(some: pl.Series) -> pl.Series:
        runs = some.str.extract_all(_OF_RUNS + needed + _OF_RUNS)
        distinct = runs.explode().unique()
        held = [run for run in distinct if any(map(pattern.holds, addresses_in(run)))]
        wanted = pl.Series(held, dtype=pl.String)
        return runs.list.eval(pl.element().is_in(wanted.implode())).list.any()

    return _where(lines, lines.str.contains(needed), hold)


def _where(lines: pl.Series, mask: pl.Series, hold: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """The mask without the lines of it that do not hold; no other is asked about."""
    rows = mask.arg_true()
    if not len(rows):
        return mask
    if len(rows) == len(mask):
        return hold(lines)
    return mask.scatter(rows, hold(lines.filter(mask)))


def _spelt(low: bytes, high: bytes) -> str:
    """An expression of all that these octets count through."""
    first, *others = _octets(low[0], high[0]), *[_ANY_OCTET] * (len(low) - 1)
    lowest, highest = bytes(len(others)), b"\xff" * len(others)
    if (low[1:], high[1:]) == (lowest, highest):
        return r"\.".join((first, *others))
    if low[0] == high[0]:
        return rf"{first}\.{_spelt(low[1:], high[1:])}"
    parts = [_spelt(low, low[:1] + highest), _spelt(high[:1] + lowest, high)]
    if high[0] - low[0] > 1:
        parts.append(_spelt(bytes([low[0] + 1]) + lowest, bytes([high[0] - 1]) + highest))
    return f"(?:{'|'.join(parts)})"


def _octets(low: int, high: int) -> str:
    return _ANY_OCTET if (low, high) == (0, 255) else f"(?:{'|'.join(map(str, range(low, high + 1)))})"
