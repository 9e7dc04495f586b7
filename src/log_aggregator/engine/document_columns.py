"""Fields of JSON lines that have no shape, because their keys come in ever different order, or are too many.

A decoder that keeps nothing but a few members reads a line in a tenth of the time that the json stage takes. It finds
what the stage finds if each of these has one place in the line where it may come from, and it is a member's key.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Final

import msgspec
import polars as pl

from log_aggregator.engine.entry_labels import EXTRACTED, REPLACEMENT
from log_aggregator.engine.fields import Fields, unescaped
from log_aggregator.engine.json_scan import label_text
from log_aggregator.model.columns import constant, where

_SPACE: Final = r"[ \t\r\n]*"
# Keys that are empty, or begin or end in what is stripped from names, or have escapes.
_ODD_KEYS: Final = rf'[\s"]"{_SPACE}:|[{{,]{_SPACE}"\s|\\[^"]*"{_SPACE}:'
# Beside a label of the stream, a field is named so; it must not be there already.
_EXTRACTED: Final = EXTRACTED.lstrip("_") + '"'
_SIGN: Final = "[^A-Za-z0-9]"
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)*")
_ABSENT: Final = msgspec.Raw(b"null")


def fields_of_documents(lines: pl.Series, names: Sequence[str]) -> Fields:
    """`shape` is 1 for lines in which the fields of these names are known, else 0.

    They are those of the json stage without extractions.
    """
    told = _told_at_most_once(lines, names)
    told &= ~lines.str.contains(_EXTRACTED, literal=True)
    told &= ~lines.str.contains(_ODD_KEYS)
    for name in names:
        if "_" in name:
            # Other signs become `_`, and so does what is between the keys of an object in an object.
            *objects, _ = accumulate(name.split("_"), lambda left, right: f"{left}{_SIGN}{right}")
            keys = lines.str.count_matches('"' + name.replace("_", _SIGN) + '"')
            told &= keys == lines.str.count_matches(f'"{name}"', literal=True)
            told &= ~lines.str.contains(rf'(?:{"|".join(objects)}){_SIGN}*"{_SPACE}:{_SPACE}\{{')
    rows, members = _members(lines, told, names)
    return _fields(len(lines), rows, members)


def extracted_members(lines: pl.Series, names: Sequence[str]) -> Fields:
    """As `fields_of_documents`, of a stage that extracts just the members of these names."""
    told = _told_at_most_once(lines, names) & lines.str.starts_with("{")
    rows, members = _members(lines, told, names)
    are_scalars = constant(True, len(rows), pl.Boolean)
    for texts in members.values():
        are_scalars &= ~_begins(texts, "{", "[")  # such a label is the text as it stands there
    return _fields(
        len(lines), rows.filter(are_scalars), {name: one.filter(are_scalars) for name, one in members.items()}
    )


def _told_at_most_once(lines: pl.Series, names: Sequence[str]) -> pl.Series:
    """In which lines each of the names stands once at most between quotes, and no other key means it."""
    told = constant(all(map(_NAME.fullmatch, names)), len(lines), pl.Boolean)
    for text in (r"\u", REPLACEMENT):
        told &= ~lines.str.contains(text, literal=True)
    for name in names:
        told &= lines.str.count_matches(f'"{name}"', literal=True) <= 1
    return told


def _members(lines: pl.Series, told: pl.Series, names: Sequence[str]) -> tuple[pl.Series, Mapping[str, pl.Series]]:
    """Of the rows that are JSON by the book, the members of these names as they stand there, or `null`."""
    rows = told.arg_true()
    decode = _decoder(tuple(names)).decode
    found: list[tuple[msgspec.Raw, ...] | None] = []
    for line in lines.gather(rows):
        try:
            found.append(msgspec.structs.astuple(decode(line)))
        except (msgspec.MsgspecError, RecursionError):
            found.append(None)
    members = [row for row in found if row is not None]
    texts = {name: [bytes(row[number]).decode() for row in members] for number, name in enumerate(names)}
    is_object = pl.Series([row is not None for row in found], dtype=pl.Boolean)
    return rows.filter(is_object), {name: pl.Series(own, dtype=pl.String) for name, own in texts.items()}


def _fields(height: int, rows: pl.Series, members: Mapping[str, pl.Series]) -> Fields:
    """Of so many lines, of which these rows have these members."""
    nothing = constant(None, height, pl.String)
    values = {name: nothing.clone().scatter(rows, _labels(texts)) for name, texts in members.items()}
    return Fields(constant(0, height, pl.UInt16).scatter(rows, 1), values)


@lru_cache(maxsize=64)
def _decoder(names: tuple[str, ...]) -> "msgspec.json.Decoder[msgspec.Struct]":
    """Of just these members of an object, each as it stands there."""
    fields = [f"field{number}" for number in range(len(names))]
    rename = dict(zip(fields, names, strict=True))
    members = [(one, msgspec.Raw, _ABSENT) for one in fields]
    return msgspec.json.Decoder(msgspec.defstruct("Members", members, rename=rename, gc=False))


def _labels(texts: pl.Series) -> pl.Series:
    """Values of JSON as labels have them, null for what gives none."""
    has_none = _begins(texts, "{", "[") | (texts == "null")
    strings = where(_begins(texts, '"'), texts.str.slice(1).str.strip_suffix('"'))
    inner = unescaped(strings, label_text)
    return where(~has_none, inner.zip_with(inner.is_not_null(), texts))


def _begins(texts: pl.Series, *marks: str) -> pl.Series:
    return texts.str.slice(0, 1).is_in(list(marks))
