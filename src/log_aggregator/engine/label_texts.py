"""Labels as texts, so that columns tell series apart, and their order, without a set of labels for each of them.

A text has each name and each value followed by NUL, which sorts before all that a text may have. So texts sort, by
their bytes, as labels do. NUL itself and the character behind it are written as two.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from sys import intern
from typing import Final

import polars as pl

from log_aggregator.model.columns import constant
from log_aggregator.model.labels import Labels

_END: Final = "\0"
_ESCAPES: Final = {"\x01": "\x01\x02", "\0": "\x01\x01"}
_TO_ESCAPE: Final = "[\\x00\\x01]"
_PAIRS: Final = "((?:[^\\x00]*\\x00[^\\x00]*\\x00)*?)"

LabelsLike = Sequence[tuple[str, str, str | None]]
"""Sorted names, with their values or the columns that these are taken from."""


def text_of(labels: Labels) -> str:
    parts = [*chain.from_iterable(labels), ""]
    text = _END.join(parts)
    if "\x01" in text or text.count(_END) >= len(parts):
        text = _END.join(map(_escaped, parts))
    return text


def labels_of_text(text: str) -> Labels:
    parts = text.split(_END)
    if "\x01" in text:
        parts = list(map(_unescaped, parts))
    return tuple(zip(map(intern, parts[:-1:2]), parts[1::2], strict=True))


def escaped_column(column: pl.Series) -> pl.Series:
    """Of values, for `texts_like`."""
    texts = column.cast(pl.String)
    if texts.str.contains(_TO_ESCAPE).any():
        for character, escape in _ESCAPES.items():
            texts = texts.str.replace_all(character, escape, literal=True)
    return texts


def texts_like(like: LabelsLike, columns: Mapping[str, pl.Series], rows: int) -> pl.Series:
    """The texts of so many rows, whose labels differ in the values of these columns alone, which have no nulls."""
    parts: list[pl.Expr] = []
    literal = ""
    for name, value, source in like:
        literal += _escaped(name) + _END
        if source is None:
            literal += _escaped(value)
        else:
            parts += [pl.lit(literal), pl.lit(columns[source])]
            literal = ""
        literal += _END
    if not parts:
        return constant(literal, rows, pl.String)
    return pl.select(pl.concat_str(*parts, pl.lit(literal))).to_series()


def grouped_texts(texts: pl.Series, names: Collection[str], *, without: bool) -> pl.Series:
    """The texts with these labels alone, or without them."""
    if without:
        for name in names:
            texts = texts.str.replace(f"^{_PAIRS}{_pair(name)}", "${1}")
        return texts
    own = [texts.str.extract(f"^{_PAIRS}({_pair(name)})", 2).fill_null("") for name in sorted(names)]
    return pl.select(pl.concat_str(map(pl.lit, own))).to_series() if own else constant("", len(texts), pl.String)


def _pair(name: str) -> str:
    return re.escape(name) + r"\x00[^\x00]*\x00"


def _escaped(part: str) -> str:
    for character, escape in _ESCAPES.items():
        part = part.replace(character, escape)
    return part


def _unescaped(part: str) -> str:
    for character, escape in reversed(_ESCAPES.items()):
        part = part.replace(escape, character)
    return part
