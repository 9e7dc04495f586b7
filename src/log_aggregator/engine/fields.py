"""The values of keys in a column of structured lines, by the shapes of the lines."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
import polars as pl

from log_aggregator.engine.json_scan import ESCAPED, label_text
from log_aggregator.engine.pattern_columns import captured
from log_aggregator.engine.shapes import ESCAPE, VALUE, Parser, Shape, around, discover, escaped
from log_aggregator.model.columns import constant, where

SAMPLE_LINES = 256
# To look for a shape takes a pass over the lines, and to read those that have none as long as some passes.
_LEAST_SHARE = 1 / 32
_FEW_LINES = 64
_LINE = pl.col("line")
OWN_RULES: Final = r"(?i)\\u(?:fffd|d[89a-f])"
"""Escapes of U+FFFD, and of surrogates: labels have rules of their own for these."""
# Two characters each, so that none begins within another one.
_ESCAPED: Final = {f"\\{escape}": text for escape, text in ESCAPED.items()}
_MATCHED = "__matched__"  # no label of a shape begins so


@dataclass(frozen=True, slots=True)
class Fields:
    """`shape` has 1 + the number of each line's shape, 0 where it has none. Values are null where a key is absent."""

    shape: pl.Series = field(repr=False)
    values: Mapping[str, pl.Series] = field(repr=False)


def sample(lines: pl.Series, most: int = SAMPLE_LINES) -> list[str]:
    """Some lines from everywhere in the column, the first among them.

    Without escapes, whether there are any or not: lines with them are like those without.
    """
    return [re.sub(ESCAPE, "x", line) for line in lines.gather_every(max(1, -(-len(lines) // most)))]


def shapes_of(lines: pl.Series, parser: Parser) -> list[Shape]:
    """The shapes that are worth looking for in the column."""
    some = sample(lines, _FEW_LINES)
    return [shape for count, shape in discover(some, parser) if count >= _LEAST_SHARE * len(some)]


def extract(lines: pl.Series, shapes: Sequence[Shape], names: Collection[str]) -> Fields:
    """The values of these names, as `json` or `logfmt` would extract them. No line has two of the shapes.

    Each shape is looked for in lines that have none of those before it.
    """
    lines = lines.alias("line")
    numbers = constant(0, len(lines), pl.UInt16)
    values = {name: constant(None, len(lines), pl.String) for name in names}
    rows, rest = None, lines
    for number, shape in enumerate(shapes, 1):
        if not len(rest):
            break
        found = _matches(rest, shape, names)
        matched = found.pop(_MATCHED)
        if rows is None:
            numbers, values = matched.cast(pl.UInt16), values | found
        else:
            at = rows.filter(matched)
            numbers.scatter(at, number)
            for name, column in found.items():
                values[name].scatter(at, column.filter(matched))
        left = (~matched).arg_true()
        rows, rest = left if rows is None else rows.gather(left), rest.gather(left)
    return Fields(numbers.alias("shape"), {name: column.alias(name) for name, column in values.items()})


def extract_escaped(lines: pl.Series, parser: Parser, shapes: Sequence[Shape], names: Collection[str]) -> Fields:
    """`extract` of lines of the parser whose texts may have escapes."""
    return unescaped_fields(extract(lines, list(map(escaped, shapes)), names), parser)


def unescaped_fields(found: Fields, parser: Parser) -> Fields:
    """What stands there in lines of the parser, as labels have it; not known of some lines of logfmt with escapes."""
    if parser == "json":
        return Fields(found.shape, {name: unescaped_json(column) for name, column in found.values.items()})
    known = found.shape > 0
    for column in found.values.values():
        known &= ~has_backslash(column)  # whether it is one depends on quotes
    return Fields(known.cast(pl.UInt16), found.values)


def with_rows(found: Fields, rows: pl.Series, others: Fields) -> Fields:
    """With other fields in some rows."""
    values = {name: column.clone().scatter(rows, others.values[name]) for name, column in found.values.items()}
    return Fields(found.shape.clone().scatter(rows, others.shape), values)


def stored_fields(
    lines: pl.Series, numbers: pl.Series, shapes: Sequence[Shape], names: Collection[str]
) -> dict[str, pl.Series]:
    """`extract` of lines whose shapes are known by their numbers: values are cut out at what stands around them."""
    lines = lines.alias("line")
    values = {}
    for name in names:
        own = [(number, shape) for number, shape in enumerate(shapes, 1) if name in shape.names]
        columns = [_cut_out(where(numbers == number, lines), shape, name) for number, shape in own]
        values[name] = coalesced(columns, len(lines)).alias(name)
    return values


def _cut_out(lines: pl.Series, shape: Shape, name: str) -> pl.Series:
    """The values of the name in lines that have the shape, or are null."""
    parts = around(shape, name)
    if parts is None:
        return _matches(lines, shape, [name])[name]
    return captured(parts, lines, [VALUE])[VALUE]


def _matches(lines: pl.Series, shape: Shape, names: Collection[str]) -> dict[str, pl.Series]:
    """Which lines have the shape, under `_MATCHED`, and the values of those of the names that it has."""
    wanted = [name for name in shape.names if name in names]
    pattern = shape.selecting(wanted)
    candidates = lines.to_frame().select_seq(pl.when(_LINE.str.starts_with(shape.prefix)).then(_LINE))["line"]
    # Each expression is computed where it stands, so what is used twice is a column first.
    if not wanted:
        return {_MATCHED: candidates.str.contains(pattern).fill_null(False)}
    if len(wanted) == 1:
        values = {wanted[0]: candidates.str.extract(pattern)}
    else:
        groups = candidates.str.extract_groups(pattern).struct.unnest()
        values = dict(zip(wanted, groups.get_columns(), strict=True))
    return {**values, _MATCHED: values[wanted[0]].is_not_null()}


def has_backslash(texts: pl.Series) -> pl.Series:
    """False for null."""
    return texts.str.contains("\\", literal=True).fill_null(False)


def unescaped(texts: pl.Series, unescape: Callable[[str], str | None]) -> pl.Series:
    """The texts, those with a backslash as the function has them."""
    rows = has_backslash(texts).arg_true()
    return texts.scatter(rows, [unescape(text) for text in texts.gather(rows)]) if len(rows) else texts


def unescaped_json(texts: pl.Series) -> pl.Series:
    """Strings of JSON by the book, without their quotes, as labels have them."""
    if not has_backslash(texts).any():
        return texts
    found = texts.str.replace_many(_ESCAPED)
    has_codes = texts.str.contains(r"\u", literal=True).fill_null(False)  # behind a backslash, too
    if not has_codes.any():
        return found
    by_the_book = has_codes & ~texts.str.contains(OWN_RULES).fill_null(False)
    rows = by_the_book.arg_true()
    if len(rows):
        # All at once, as it is not the decoding that takes long.
        document = '["' + '","'.join(texts.gather(rows).to_list()) + '"]'
        found.scatter(rows, msgspec.json.decode(document, type=list[str]))
    rows = (has_codes & ~by_the_book).arg_true()
    return found.scatter(rows, [label_text(text) for text in texts.gather(rows)])


def coalesced(columns: Sequence[pl.Series], rows: int) -> pl.Series:
    """The first text of each row, null where no column has one."""
    if not columns:
        return constant(None, rows, pl.String)
    if len(columns) == 1:
        return columns[0]
    return pl.select(pl.coalesce(pl.lit(column) for column in columns)).to_series()
