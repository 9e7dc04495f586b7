"""Pairs of logfmt among words, as Kubernetes' components write them: `I0115 main.go:7] "Started" pod="default/x" n=3`.

A line is made of words with white space between them, and a word is a pair, or nothing to the logfmt stage, which goes
on with the next word then. Of what can surely be told apart so, the first value of a key is behind its first pair.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import polars as pl

from log_aggregator.engine.entry_labels import EXTRACTED
from log_aggregator.engine.fields import OWN_RULES, Fields, unescaped
from log_aggregator.engine.logfmt import unquoted
from log_aggregator.engine.shapes import ESCAPE, PLAIN
from log_aggregator.model.columns import constant, where

_SPACE: Final = r"[\x00-\x20]"
_INNER: Final = rf"(?:{PLAIN}|{ESCAPE})"
_BARE: Final = r'[^\x00-\x20="\x{fffd}]+'
# What follows a quoted value at once is a key without a value.
_TAIL: Final = r'[^\x00-\x20="]*'
_VALUE: Final = rf'(?:"{_INNER}*"{_TAIL}|{_BARE})'
# Words that have no pair: without `=`; with a quote before it; with nothing before it; with a bare value that a quote
# or another `=` ends.
_WORDS: Final = (
    r"[^\x00-\x20=]+",
    r'[^\x00-\x20="]*"[^\x00-\x20]*',
    r"=[^\x00-\x20]*",
    r'[^\x00-\x20="]+=(?:=|[^\x00-\x20="]+["=])[^\x00-\x20]*',
)
_KEY: Final = r'[^\x00-\x20="\x{fffd}]+'
# Keys that are label names as they stand; or any that cannot become a name without an underscore.
_NAMES: Final = "(?:[A-Za-z]|_[A-Za-z0-9])[A-Za-z0-9_]*"
_KEYS: Final = "[!#-<>-~]?[A-Za-z0-9][!#-<>-~]*"


def pairs_in_text(lines: pl.Series, names: Collection[str]) -> Fields:
    """`shape` is 1 for lines in which the fields of these names are known, else 0.

    They are those of the logfmt stage that is not strict, keeps no empty values and has no extractions.
    """
    word = _word(names)
    known = lines.str.contains(rf"^{_SPACE}*(?:{word}(?:{_SPACE}+|$))*$")
    known &= ~lines.str.contains(f"{EXTRACTED}=", literal=True)  # as a name, it may be that of another field, too
    known &= ~lines.str.contains(OWN_RULES)
    values = {}
    for name in names:
        has_key = known & lines.str.contains(f"{name}=", literal=True)
        if not has_key.any():
            values[name] = constant(None, len(lines), pl.String)
            continue
        groups = where(has_key, lines).str.extract_groups(
            rf'^{_SPACE}*(?:{word}{_SPACE}+)*?{name}=(?:"({_INNER}+)"{_TAIL}|({_BARE}))(?:{_SPACE}|$)'
        )
        quoted, bare = groups.struct.unnest().get_columns()
        values[name] = unescaped(quoted, unquoted).zip_with(bare.is_null(), bare)
    return Fields(known.cast(pl.UInt16), {name: where(known, column) for name, column in values.items()})


def extracted_pairs(lines: pl.Series, names: Sequence[str], others: Sequence[str], *, only_first: bool) -> Fields:
    """As `pairs_in_text`, of a stage that extracts just these names: keys stand alone there, too, and empty a label.

    With `only_first` it is content with the first of them that it finds. Known are lines that have each once at most,
    and none of the `others`.
    """
    found = _found_once(lines, names)
    for name in others:
        known = (found.shape > 0) & (not name.startswith("_")) & ~lines.str.contains(_place_of(name))
        found = Fields(known.cast(pl.UInt16), found.values)
    if not only_first or not names:
        return found
    found, places = _with_empty(lines, found)
    firsts = pl.select(pl.min_horizontal(list(places.values()))).to_series()
    return Fields(found.shape, {name: where(places[name] == firsts, own) for name, own in found.values.items()})


def pairs_with_empty(lines: pl.Series, names: Sequence[str]) -> Fields:
    """As `pairs_in_text`, of a stage that keeps empty values. Known are lines that have each name once at most."""
    found, _ = _with_empty(lines, _found_once(lines, names))
    known = (found.shape > 0) & ~lines.str.contains(EXTRACTED, literal=True)
    return Fields(known.cast(pl.UInt16), found.values)


def are_well_formed(lines: pl.Series) -> pl.Series:
    """Lines in which strict parsing surely finds no fault."""
    return lines.str.contains(rf'^{_SPACE}*(?:{_KEY}(?:=(?:"{_INNER}*"|{_BARE})?)?(?:{_SPACE}+|$))*$')


def _found_once(lines: pl.Series, names: Sequence[str]) -> Fields:
    """As `pairs_in_text`, of lines that have each of the names once at most, alone or with a value."""
    found = pairs_in_text(lines, names)
    known = found.shape > 0
    for name in names:
        alone = _key_of(name)
        known &= not name.startswith("_")
        # To count those at the ends of other keys, too, takes a twentieth of the time.
        rows = (lines.str.count_matches(alone) > 1).arg_true()
        known = known.scatter(rows, known.gather(rows) & ~_have_twice(lines.gather(rows), alone))
    return Fields(known.cast(pl.UInt16), {name: where(known, column) for name, column in found.values.items()})


def _with_empty(lines: pl.Series, found: Fields) -> tuple[Fields, Mapping[str, pl.Series]]:
    """With empty texts for keys without a value, and where each of the keys stands."""
    known, values, places = found.shape > 0, {}, {}
    for name, column in found.values.items():
        places[name] = lines.str.find(_place_of(name))
        rows = (known & places[name].is_not_null() & column.is_null()).arg_true()
        empty = rf'^{_SPACE}*(?:{_word([name])}{_SPACE}+)*?{name}(?:=(?:""{_TAIL})?)?(?:{_SPACE}|$)'
        known.scatter(rows, lines.gather(rows).str.contains(empty))
        values[name] = column.clone().scatter(rows, "")
    return Fields(known.cast(pl.UInt16), {name: where(known, column) for name, column in values.items()}), places


def _key_of(name: str) -> str:
    """What may become the name, wherever it is; with a quote behind it, it is no key."""
    return rf"{name.replace('_', '[^A-Za-z0-9]')}(?:[^!-<>-~]|$)"


def _place_of(name: str) -> str:
    """The same, and not at the end of another key."""
    return rf"(?:^|[^!#-~]){_key_of(name)}"


def _have_twice(lines: pl.Series, alone: str) -> pl.Series:
    return lines.str.contains(rf"(?s)(?:^|[^!#-~]){alone}.*{alone}")


def _word(names: Collection[str]) -> str:
    """A word, in lines of which pairs of these names are wanted."""
    key = _NAMES if any("_" in name for name in names) else _KEYS
    return rf"(?:{'|'.join(_WORDS)}|{key}={_VALUE}?)"
