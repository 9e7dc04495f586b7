"""Fields of structured lines by their skeletons: the lines without their values.

Shapes are tried one after the other on all lines; any number of skeletons is found in one pass, and each looked at
once. Where one is well formed and has a key once, the value stands behind the text of the key.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Any, Final

import numpy as np
import polars as pl

from log_aggregator.engine.entry_labels import LONGEST_NAME, join_names, sanitise
from log_aggregator.engine.fields import Fields, coalesced
from log_aggregator.engine.shapes import ESCAPE, LOGFMT_KEY, PLAIN, Parser, are_plain
from log_aggregator.logql.template.strconv import SPACE
from log_aggregator.model.columns import where

# Of some lines, those that are most frequent.
_MOST_SKELETONS = 1024
# What is known of so many is remembered.
_LONGEST_SKELETON = 1024
# Spellings of one name, each of which takes a pass.
_MOST_KEYS = 16
# Stands for a value. Lines that have it themselves have no skeleton.
_MARK: Final = "\x00"
_STRING = rf'"(?:{PLAIN}|{ESCAPE})*"'
_NUMBER = r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
_ELEMENT = rf"(?:{_STRING}|{_NUMBER}|true|false|null)"
_SPACE = r"[ \n\r\t]*"
_ARRAY = rf'"{_SPACE}:{_SPACE}\[{_SPACE}(?:{_ELEMENT}(?:{_SPACE},{_SPACE}{_ELEMENT})*)?{_SPACE}\]'
_JSON_VALUE = rf":{_SPACE}(?:{_STRING}|{_NUMBER}|true|false)"
_LOGFMT_VALUE = rf'=(?:{_STRING}|[^\x00-\x20="\ufffd]+)'
_LOGFMT_SKELETON = re.compile(rf"(?:{LOGFMT_KEY}(?:={_MARK}?)?(?: +|\Z))*")
_LOGFMT_PAIR = re.compile(rf"({LOGFMT_KEY})=({_MARK}?)")
_QUOTED: Final = '""'
_STRUCTURE: Final = frozenset(" \n\r\t,:{}[]")

_Keys = Mapping[str, str | None]
"""The keys of fields by their names; None for one that stands in more than one place."""


def fields_by_skeleton(lines: pl.Series, parser: Parser, names: Collection[str]) -> Fields:
    """`shape` is 1 for lines in which the fields of these names are known, else 0.

    They are those of the json stage, or of the logfmt stage that is not strict and keeps no empty values, with escapes.
    """
    skeletons = _skeletons(lines, parser)
    frequent = skeletons.drop_nulls().value_counts(sort=True)[skeletons.name][:_MOST_SKELETONS].to_list()
    keys = {
        code: own
        for code, skeleton in enumerate(frequent)
        if len(skeleton) <= _LONGEST_SKELETON
        and (own := _KEYS[parser](skeleton)) is not None
        and all(own.get(name, "") is not None for name in names)
    }
    if any(len({own.get(name) for own in keys.values()}) > _MOST_KEYS for name in names):
        keys = {}
    codes = skeletons.cast(pl.Enum(frequent), strict=False).to_physical().fill_null(len(frequent)).to_numpy()

    def is_among(some: Collection[int]) -> pl.Series:
        table = np.zeros(len(frequent) + 1, np.bool_)
        table[list(some)] = True
        return pl.Series(table[codes])

    known = is_among(keys)
    texts = lines if parser == "json" else lines.str.replace_all(_STRING, _QUOTED)
    values = {}
    for name in names:
        having: dict[str, list[int]] = {}
        for code, own in keys.items():
            if key := own.get(name):
                having.setdefault(key, []).append(code)
        columns = [_values(where(is_among(some), texts), parser, key) for key, some in having.items()]
        values[name] = coalesced(columns, len(lines))
        if parser == "logfmt":
            known &= (values[name] != _QUOTED).fill_null(True)
    return Fields(known.cast(pl.UInt16), {name: where(known, column) for name, column in values.items()})


def _skeletons(lines: pl.Series, parser: Parser) -> pl.Series:
    if parser == "logfmt":
        skeletons = lines.str.replace_all(_LOGFMT_VALUE, f"={_MARK}")
    else:
        skeletons = lines.str.replace_all(_JSON_VALUE, f":{_MARK}")
        if skeletons.str.contains("[", literal=True).any():
            skeletons = skeletons.str.replace_all(_ARRAY, '":[]')
    return where(~lines.str.contains(_MARK, literal=True), skeletons)


def _values(lines: pl.Series, parser: Parser, key: str) -> pl.Series:
    """What stands behind the key in lines in which it stands once: quotes that are part of values have a `\\`."""
    if parser == "logfmt":
        return lines.str.extract(rf"(?:^| ){re.escape(key)}=([^ ]*)")
    found = lines.str.extract(rf'"{re.escape(key)}"{_SPACE}:{_SPACE}("(?:[^"\\]|\\.)*"|[^" \n\r\t,}}]+)')
    return found.str.strip_prefix('"').str.strip_suffix('"')


@lru_cache(maxsize=_MOST_SKELETONS)
def _json_keys(skeleton: str) -> _Keys | None:
    """None for what is not well formed, or where more than the keys decides about names."""
    try:
        document = json.loads(skeleton.replace(_MARK, "0"), object_pairs_hook=tuple)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, tuple) or "\\" in skeleton:
        return None
    places: Counter[str] = Counter()
    fields: list[tuple[str, str]] = []
    pending: list[tuple[str, tuple[tuple[str, Any], ...]]] = [("", document)]
    while pending:
        prefix, members = pending.pop()
        for key, value in members:
            name = join_names(prefix, key)
            places[key] += 1
            # Else the text of the key may stand where there is none, or not be what it was.
            if key[-1:] in SPACE or key[0] in _STRUCTURE or "[" in key or len(name) > LONGEST_NAME:
                return None
            if isinstance(value, tuple):
                pending.append((name, value))
            elif type(value) is int and value == 0:
                fields.append((name, key))
            elif value is not None and value != []:
                return None
    # Other marks are in texts, other zeros none of ours.
    if len(fields) != skeleton.count(_MARK):
        return None
    return _distinct(fields, places)


@lru_cache(maxsize=_MOST_SKELETONS)
def _logfmt_keys(skeleton: str) -> _Keys | None:
    """As `_json_keys`."""
    if not _LOGFMT_SKELETON.fullmatch(skeleton):
        return None
    pairs = _LOGFMT_PAIR.findall(skeleton)
    places = Counter(key for key, _ in pairs)
    return _distinct([(sanitise(key), key) for key, mark in pairs if mark], places)


def _distinct(fields: list[tuple[str, str]], places: Counter[str]) -> _Keys | None:
    if not are_plain([name for name, _ in fields]):
        return None
    return {name: key if places[key] == 1 else None for name, key in fields}


_KEYS: Mapping[Parser, Callable[[str], _Keys | None]] = {"json": _json_keys, "logfmt": _logfmt_keys}
