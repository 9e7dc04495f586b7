"""The `unpack` stage over a column of lines: equal to `json_stages.unpack` on each of them, where that is surely known.

Lines of few shapes are read by these, and others by a decoder: a packed line has few members beside the line of a
program, and expressions would have to pass over that again and again.
"""

import re
from collections.abc import Collection, Sequence
from typing import Final

import msgspec
import polars as pl

from log_aggregator.engine.entry_labels import EXTRACTED, OF_ERRORS, REPLACEMENT, sanitise
from log_aggregator.engine.fields import OWN_RULES, Fields, extract_escaped, shapes_of, with_rows
from log_aggregator.engine.json_stages import PACKED_ENTRY
from log_aggregator.engine.shapes import json_sample, strings_of
from log_aggregator.model.columns import constant, where

_DECODE: Final = msgspec.json.Decoder(dict[str, object]).decode
# A key with escapes may be another one once more.
_ESCAPED_KEYS: Final = r'\\u[^"]*"[ \t\r\n]*:'


def unpacked(lines: pl.Series, names: Sequence[str]) -> Fields:
    """`shape` is 1 for lines in which the labels of these names, and the entry, are known, else 0.

    The entry stands under PACKED_ENTRY, null where nothing is packed.
    """
    keys = [PACKED_ENTRY, *names]
    shapes = [strings_of(shape) for shape in shapes_of(lines, "json") if _are_plain(json_sample(shape), names)]
    found = extract_escaped(lines, "json", shapes, keys)
    known = (found.shape > 0) & ~lines.str.contains(OWN_RULES)
    found = Fields(known.cast(pl.UInt16), found.values)
    rows = (~known).arg_true()
    found = with_rows(found, rows, _decoded(lines.gather(rows), keys)) if len(rows) else found
    is_packed = found.values[PACKED_ENTRY].is_not_null()
    return Fields(found.shape, {key: where(is_packed, column) for key, column in found.values.items()})


def _decoded(lines: pl.Series, keys: Sequence[str]) -> Fields:
    """The strings under these keys, in lines of which they are known."""
    candidates = _may_be_known(lines, keys).arg_true()
    documents: list[dict[str, object]] = []
    rows: list[int] = []
    for row, line in zip(candidates.to_list(), lines.gather(candidates).to_list(), strict=True):
        try:
            document = _DECODE(line)
        except (msgspec.MsgspecError, RecursionError):
            continue
        if _are_plain(document, keys):
            documents.append(document)
            rows.append(row)
    at, nothing = pl.Series(rows, dtype=pl.UInt32), constant(None, len(lines), pl.String)
    values = {key: nothing.clone().scatter(at, _texts(documents, key)) for key in keys}
    return Fields(constant(0, len(lines), pl.UInt16).scatter(at, 1), values)


def _may_be_known(lines: pl.Series, keys: Collection[str]) -> pl.Series:
    """Lines that may be objects, without what labels have rules of their own for, each key in them once at most."""
    told = lines.str.starts_with("{") & ~lines.str.contains(_ESCAPED_KEYS)
    told &= ~(lines.str.contains(REPLACEMENT, literal=True) | lines.str.contains(OWN_RULES))
    for key in keys:
        told &= lines.str.count_matches(f'"{re.escape(key)}"') <= 1
    return told


def _are_plain(document: Collection[str] | None, names: Collection[str]) -> bool:
    """Whether no member of another key may become a label of one of the names, or that of an error."""
    if document is None:
        return False
    others = {sanitise(key) for key in document if key not in names}
    return others.isdisjoint((*names, *OF_ERRORS)) and not any(
        name.endswith(EXTRACTED) for name in (*others, *document)
    )


def _texts(documents: Sequence[dict[str, object]], key: str) -> pl.Series:
    """Nothing but strings is unpacked."""
    found = [text if isinstance(text := own.get(key), str) else None for own in documents]
    return pl.Series(found, dtype=pl.String)
