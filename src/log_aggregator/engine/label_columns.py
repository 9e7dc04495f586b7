"""Label filters over columns: equal to `engine.label_filter` on each row, where that is sure.

A filter that has columns for all its labels need not be worked out for each combination of them, of which there may be
as many as rows: `| json | duration_ms > 100 and method="GET"`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from log_aggregator.engine.address_columns import address_mask
from log_aggregator.engine.column_regex import column_regex
from log_aggregator.engine.entry_labels import Demand, EntryLabels, is_made
from log_aggregator.engine.label_filter import COMPARE, compile_label_filter, label_expression, names_read
from log_aggregator.engine.metadata_columns import mentions, values_of
from log_aggregator.formats.metadata import parse_metadata
from log_aggregator.logql import ast
from log_aggregator.logql.ip import InvalidIpPattern, IpPattern, parse_ip_pattern
from log_aggregator.model.columns import coded, constant, told_apart, where
from log_aggregator.model.labels import Labels
from log_aggregator.model.segment import METADATA, STREAM

PLAIN_NUMBER = r"^-?[0-9]{1,15}(?:\.[0-9]{1,15})?$"
"""Texts that are surely read as the same number by Loki, Python and Polars."""
# The same of durations, if they have one unit.
_PLAIN_DURATION = r"^(-?)([0-9]{1,6})(?:\.([0-9]{1,9}))?(ns|us|µs|μs|ms|s|m|h)$"
_UNITS_NS = {"ns": 1.0, "us": 1e3, "µs": 1e3, "μs": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9, "h": 3600e9}
_NO_DEMAND = Demand()
# To try so many takes less than to begin with columns of them.
_FEW_VALUES = 32


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of each row: whether it passes, and whether that is for the row-wise stages to tell (None: of none)."""

    passes: pl.Series = field(repr=False)
    unsure: pl.Series | None = field(repr=False)


_Judge = Callable[[ast.LabelFilter, str, pl.Series], Verdict]
"""What a filter of one label makes of texts."""


class LabelColumns:
    """The labels of some rows before any stage has changed one that parsers, stream or metadata gave."""

    def __init__(self, frame: pl.DataFrame, streams: Mapping[int, Labels], fields: Mapping[str, pl.Series]) -> None:
        """`streams` are those of the rows, by number; `fields` what the parsers found."""
        self._frame = frame
        self._streams = {number: dict(labels) for number, labels in streams.items()}
        self._fields = fields

    def of(self, name: str, *, parsed: bool) -> pl.Series | None:
        """The label, null where it is missing, before or behind the parsers; None if that is not known.

        Texts, `pl.Enum` where the values are few, or floats if its field is a column of those.
        """
        if is_made(name):
            return None
        own = {labels.get(name) for labels in self._streams.values()}
        if own != {None}:
            # Some have it: then it may be a field of the others, or metadata.
            return self._of_streams(name, own) if None not in own else None
        column = self._fields.get(name) if parsed else None
        if METADATA in self._frame.columns and mentions(self._frame[METADATA], name):
            return self._of_metadata(name) if column is None or column.null_count() == len(column) else None
        return constant(None, self._frame.height, pl.String) if column is None else column

    def _of_streams(self, name: str, values: set[str | None]) -> pl.Series:
        kinds = [value for value in values if value is not None]
        table = np.zeros(max(self._streams) + 1, np.uint32)
        for number, labels in self._streams.items():
            table[number] = kinds.index(labels[name])
        return coded(kinds, pl.Series(table[self._frame[STREAM].to_numpy()]))

    def _of_metadata(self, name: str) -> pl.Series | None:
        column = self._frame[METADATA]
        if isinstance(column.dtype, pl.Enum):
            values = [parse_metadata(text).get(name) if text else None for text in column.dtype.categories]
            kinds = list(dict.fromkeys(value for value in values if value is not None))
            at = [None if value is None else kinds.index(value) for value in values]
            return coded(kinds, pl.Series(at, dtype=pl.UInt32).gather(column.to_physical()))
        return values_of(column, name)


def judged(node: ast.LabelFilter, column_of: Callable[[str], pl.Series | None]) -> Verdict | None:
    """What the filter makes of the rows of the columns; None if one is not known."""
    if isinstance(node, ast.AndFilter | ast.OrFilter):
        left, right = judged(node.left, column_of), judged(node.right, column_of)
        if left is None or right is None:
            return None
        passes = left.passes & right.passes if isinstance(node, ast.AndFilter) else left.passes | right.passes
        return Verdict(passes, either(left.unsure, right.unsure))
    (name,) = names_read(node)
    column = column_of(name)
    if column is None:
        return None
    if column.dtype == pl.Float64:
        assert isinstance(node, ast.NumberFilter), "only for those are columns read as numbers"
        return Verdict(_compared(column, node.op, node.value), None)
    if isinstance(column.dtype, pl.Enum):
        are_few = len(column.dtype.categories) <= _FEW_VALUES
        return _by_value(node, name, column, _one_by_one if are_few else _by_text)
    return _by_text(node, name, column)


def both(left: pl.Series | None, right: pl.Series) -> pl.Series:
    """Which rows are in both masks; None is that of all rows."""
    return right if left is None else left & right


def either(left: pl.Series | None, right: pl.Series | None) -> pl.Series | None:
    """Which rows are in one of two masks; None is that of no row."""
    if left is None or right is None:
        return right if left is None else left
    return left | right


def _compared(numbers: pl.Series, op: ast.CompareOp, wanted: float) -> pl.Series:
    """A missing label never passes."""
    passes: pl.Series = COMPARE[op](numbers, wanted)  # type: ignore[assignment]
    return passes.fill_null(False)


def _by_text(node: ast.LabelFilter, name: str, column: pl.Series) -> Verdict:
    match node:
        case ast.StringFilter(ast.Matcher(_, "=" | "!=" as op, wanted)):
            equal = column.fill_null("") == wanted
            return Verdict(equal if op == "=" else ~equal, None)
        case ast.StringFilter(matcher) if (regex := column_regex(label_expression(matcher))) is not None:
            found = column.fill_null("").str.contains(regex)
            return Verdict(found if matcher.op == "=~" else ~found, None)
        case ast.NumberFilter(_, op, wanted):
            plain = column.str.contains(PLAIN_NUMBER)
            passes = _compared(_as_numbers(column, plain), op, wanted)
            return _with_others(node, name, column, passes, plain.fill_null(True))
        case ast.DurationFilter(_, op, wanted_ns):
            durations = durations_ns(column)
            passes = _compared(durations, op, wanted_ns)
            return _with_others(node, name, column, passes, durations.is_not_null() | column.is_null())
        case ast.IpFilter(_, op, text) if (pattern := _address_pattern(text)) is not None:
            holds = address_mask(pattern, column)
            return Verdict((holds if op == "=" else ~holds).fill_null(False), None)
        case _:
            return _by_value(node, name, column, _one_by_one)


def _with_others(node: ast.LabelFilter, name: str, column: pl.Series, passes: pl.Series, known: pl.Series) -> Verdict:
    """Of rows of which some are known; the values of the others are tried."""
    rows = (~known).arg_true()
    if not len(rows):
        return Verdict(passes, None)
    others = _by_value(node, name, column.gather(rows), _one_by_one)
    if others.unsure is None:
        return Verdict(passes.scatter(rows, others.passes), None)
    unsure = constant(False, len(column), pl.Boolean).scatter(rows, others.unsure)
    return Verdict(passes.scatter(rows, others.passes), unsure)


def _by_value(node: ast.LabelFilter, name: str, column: pl.Series, judge: _Judge) -> Verdict:
    """By what is made of each value once."""
    values, codes = told_apart(column)
    own = judge(node, name, values)
    return Verdict(own.passes.gather(codes), None if own.unsure is None else own.unsure.gather(codes))


def _one_by_one(node: ast.LabelFilter, name: str, column: pl.Series) -> Verdict:
    """By trying each row."""
    check = compile_label_filter(node)
    passes, fails = [], []
    for value in column:
        labels = EntryLabels(0, {}, {} if value is None else {name: value}, _NO_DEMAND)
        passes.append(check(labels))
        fails.append(bool(labels.error))
    return Verdict(pl.Series(passes), pl.Series(fails) if any(fails) else None)


def _address_pattern(text: str) -> IpPattern | None:
    try:
        return parse_ip_pattern(text)
    except InvalidIpPattern:
        return None


def _as_numbers(column: pl.Series, plain: pl.Series) -> pl.Series:
    """Floats of the texts that are plain, else null."""
    return where(plain, column).cast(pl.Float64)


def durations_ns(column: pl.Series) -> pl.Series:
    """Texts like `-1.5ms`, of one unit, in nanoseconds as `conversions.to_duration_ns` gives them; else null."""
    parts = column.str.extract_groups(_PLAIN_DURATION).struct.unnest()
    sign, whole, digits, unit = (pl.col(name) for name in parts.columns)
    unit_ns = unit.replace_strict(_UNITS_NS, default=None, return_dtype=pl.Float64)
    digits = digits.fill_null("")
    scale = pl.lit(10).cast(pl.Float64).pow(digits.str.len_bytes())
    fraction = (digits.cast(pl.Int64, strict=False).fill_null(0).cast(pl.Float64) * (unit_ns / scale)).cast(pl.Int64)
    total = whole.cast(pl.Int64) * unit_ns.cast(pl.Int64) + fraction
    # Minus nothing is a number of its own among floats.
    signed = pl.when(sign == "").then(total).when(total != 0).then(-total)
    return parts.select_seq(signed.alias("ns"))["ns"]


def durations_seconds(column: pl.Series) -> pl.Series:
    """As `conversions.to_seconds` gives them; else null."""
    ns = durations_ns(column)
    known = ns.fill_null(0).to_numpy()
    whole, rest = np.divmod(np.abs(known), 1_000_000_000)
    # Polars would multiply by the inverse, which differs in the last digit.
    seconds = whole + rest / 1e9
    return where(ns.is_not_null(), pl.Series("seconds", np.where(known < 0, -seconds, seconds)))
