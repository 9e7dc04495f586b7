"""Lines that have none of a chunk's shapes, and what parsers make of them all the same.

Nearly every program that writes JSON or logfmt writes a few lines of other kinds: texts with escapes, rare keys, traces
of its stack. A query must not have to read all lines for these. So their fields become columns too, as the stages read
them, and lines in which the stages find nothing are marked as such.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

import numpy as np
import polars as pl

from log_aggregator.engine.entry_labels import REPLACEMENT, sanitise
from log_aggregator.engine.fields import Fields, extract, unescaped_fields, with_rows
from log_aggregator.engine.json_scan import InvalidJson
from log_aggregator.engine.json_stages import all_fields
from log_aggregator.engine.logfmt import Problem, scan
from log_aggregator.engine.shapes import (
    IRREGULAR_JSON,
    IRREGULAR_LOGFMT,
    LOGFMT_KEY,
    TEXT,
    TEXT_WITH_PAIRS,
    Parser,
    Shape,
    are_plain,
    escaped,
)
from log_aggregator.engine.skeletons import fields_by_skeleton
from log_aggregator.logql.template.strconv import SPACE
from log_aggregator.model.columns import constant

OBJECT: Final = r"^[ \n\r\t]*\{"
"""How lines begin in which the json stage finds something."""

# Of the lines of a row group, those that are read one by one: each takes twice as long as all else that ingestion does.
_MOST_SHARE = 0.02
_MOST_OF_FEW = 64


def with_irregular_lines(lines: pl.Series, found: Fields, shapes: Sequence[Shape]) -> Fields:
    """What was found by the shapes, with what is known of the other lines of a row group."""
    rows = (found.shape == 0).arg_true()
    if not len(rows):
        return found
    rest = lines.gather(rows)
    is_object = rest.str.contains(OBJECT)
    has_pairs = rest.str.contains("=", literal=True)
    numbers = pl.Series(np.where(is_object, 0, np.where(has_pairs, TEXT_WITH_PAIRS, TEXT)), dtype=pl.UInt16)
    found = Fields(found.shape.clone().scatter(rows, numbers), found.values)
    most = max(_MOST_OF_FEW, int(_MOST_SHARE * len(lines)))
    others: tuple[tuple[Parser, int, pl.Series], ...] = (
        ("json", IRREGULAR_JSON, is_object),
        ("logfmt", IRREGULAR_LOGFMT, has_pairs & ~is_object),
    )
    for parser, number, candidates in others:
        own = [shape for shape in shapes if shape.parser == parser]
        if own and candidates.any():
            at = candidates.arg_true()
            fields = _read(rest.gather(at), parser, own, found.values, most)
            known = (fields.shape > 0).arg_true()
            values = {name: column.gather(known) for name, column in fields.values.items()}
            numbered = Fields(constant(number, len(known), pl.UInt16), values)
            found = with_rows(found, rows.gather(at.gather(known)), numbered)
    return found


def _read(lines: pl.Series, parser: Parser, shapes: Sequence[Shape], names: Collection[str], most: int) -> Fields:
    """The fields of lines that are like the shapes of the parser; its `shape` has 0 where they are not known.

    At most so many are read one by one: all that are left, or else all that begin as the parser's lines do.
    """
    found = extract(lines, list(map(escaped, shapes)), names)
    rows = (found.shape == 0).arg_true()
    if len(rows):
        found = with_rows(found, rows, fields_by_skeleton(lines.gather(rows), parser, names))
    found = unescaped_fields(found, parser)
    left = found.shape == 0
    if left.sum() > most:
        left &= lines.str.contains(_BEGINNINGS[parser])
    rows = left.arg_true()
    if not 0 < len(rows) <= most:
        return found
    read = [_READERS[parser](line) for line in lines.gather(rows)]
    known = pl.Series([own is not None for own in read], dtype=pl.UInt16)
    texts = {name: pl.Series([(own or {}).get(name) for own in read], dtype=pl.String) for name in names}
    return with_rows(found, rows, Fields(known, texts))


def _told(value: str) -> str:
    """As the label of a pair has it."""
    return value.replace(REPLACEMENT, " ")


def _json(line: str) -> Mapping[str, str] | None:
    """The stage's fields, if nothing depends on where they stand, and each is named by its keys alone."""
    try:
        fields = list(all_fields(line))
    except InvalidJson:
        return None
    if any(key[-1:] in SPACE for path, _, _ in fields for key in path):
        return None
    return _distinct([(name, text) for _, name, text in fields])


def _logfmt(line: str) -> Mapping[str, str] | None:
    pairs = [one for one in scan(line) if not isinstance(one, Problem)]
    return _distinct([(sanitise(key), _told(value)) for key, value in pairs if value])


def _distinct(pairs: Sequence[tuple[str, str]]) -> Mapping[str, str] | None:
    """The fields of a line; None if their order matters."""
    return dict(pairs) if are_plain([name for name, _ in pairs]) else None


_BEGINNINGS: Mapping[Parser, str] = {"json": OBJECT, "logfmt": f"^{LOGFMT_KEY}="}
_READERS: Mapping[Parser, Callable[[str], Mapping[str, str] | None]] = {"json": _json, "logfmt": _logfmt}
