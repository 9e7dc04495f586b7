"""Level detection over a column of lines: `level.level_of_line` for all of them at once.

The common forms are read by regular expressions that find what the row-wise reader would find, or nothing. Where they
find nothing although a level field seems to be there, the row-wise reader decides. Programs that put the level first,
or behind the same fields each time, are recognised by how their lines begin, which is several times faster.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple, TypeVar

import polars as pl

from log_aggregator.model.columns import IT, computed, computed_all, constant
from log_aggregator.services.level import (
    ASCII_SPACE,
    GO_SPACE,
    LEVEL_OF_NAME,
    NAME_PATTERN,
    UNKNOWN,
    WORD_PATTERN,
)
from log_aggregator.services.level_reader import (
    BARE,
    GAP,
    MEMBERS_BEFORE,
    SPACE,
    STRING,
    Head,
    LevelReader,
    key_in_any_case,
    key_of_member,
    level_reader,
)

_FEW_LINES: Final = 500
"""Below this the lines one by one cost less than setting up the expressions, as measured."""

_SAMPLE_LINES: Final = 24
_MOST_HEADS: Final = 5
"""Each costs a look at all lines; those that have none of the heads are read in a slower way."""

_NAME: Final = r'[^\x00-\x20="\x{fffd}]+'
# A quoted value of logfmt; one with another escape ends the reading.
_WELL_FORMED: Final = r'"[^"\\]*(?:\\(?:["\\/\'bfnrt]|u[0-9a-fA-F]{4})[^"\\]*)*"'
_GAPS: Final = "".join(map(chr, range(0x21)))

_LEVEL_OF_VALUE: Final = {f'"{name}"': level for name, level in LEVEL_OF_NAME.items()} | dict(LEVEL_OF_NAME)
_VALUES: Final = pl.Enum(list(_LEVEL_OF_VALUE))
"""A cast to an enumeration is a lookup that costs nothing to set up; what is not in it becomes null."""
_LEVELS: Final = pl.Series([*_LEVEL_OF_VALUE.values(), UNKNOWN])
"""By the code of a value, and one more for those that have none."""

_NO_CODE: Final = len(_LEVEL_OF_VALUE)

_IN_BRACES: Final = IT.str.ends_with("}").alias("}")
_BEGINS_AS_JSON: Final = IT.str.strip_chars_start(GO_SPACE).str.starts_with("{").alias("{")
_ENDS_AS_JSON: Final = IT.str.strip_chars_end(ASCII_SPACE).str.ends_with("}").alias("}")
_HAS_PAIRS: Final = IT.str.contains("=", literal=True).alias("=")
_HAS_BACKSLASH: Final = IT.str.contains("\\", literal=True)
_HAS_NAME: Final = IT.str.contains(NAME_PATTERN)


def _code(value: pl.Expr) -> pl.Expr:
    """Places in `_LEVELS`; null for what names no level."""
    return value.str.to_lowercase().cast(_VALUES, strict=False).to_physical()


_CODE: Final = _code(IT)
_OR_NONE: Final = IT.fill_null(_NO_CODE)
_WORD: Final = IT.str.extract(WORD_PATTERN).str.replace_all("İ", "i", literal=True)
_CODE_OF_WORD: Final = _code(_WORD).fill_null(_NO_CODE)

_Found = TypeVar("_Found")


def levels_of_lines(lines: pl.Series, fields: Sequence[str], max_depth: int) -> pl.Series:
    """`level_of_line` of each line, as strings."""
    return _levels(lines, level_reader(tuple(fields), max_depth))


def _levels(lines: pl.Series, reader: LevelReader) -> pl.Series:
    if len(lines) < _FEW_LINES:
        return _one_by_one(lines, reader)
    heads = _most_common(map(reader.head, _sample(lines)))
    if not heads:
        return _by_forms(lines, reader)
    numbers = _numbers(lines, heads)
    levels = pl.Series([None, *(head.level for head in heads)])[numbers]
    if numbers.min():
        return levels
    rows = (numbers == 0).arg_true()
    # Where heads are common, a sample of the rest shows the rarer ones.
    of_rest = _levels if len(rows) <= len(lines) // 2 else _by_forms
    return levels.scatter(rows, of_rest(lines[rows], reader))


def _by_forms(lines: pl.Series, reader: LevelReader) -> pl.Series:
    """The most common forms by an expression each, and then the rest."""
    if len(lines) < _FEW_LINES:
        return _one_by_one(lines, reader)
    forms = _most_common(map(reader.form, _sample(lines)))
    if not forms:
        return _of_any(lines, reader)
    levels, rows, rest = constant(UNKNOWN, len(lines), pl.String), pl.arange(len(lines), eager=True), lines
    while forms and len(rest) >= _FEW_LINES:
        form = forms.pop(0)
        codes = computed(rest, _code(IT.str.extract(form.pattern)))
        is_read = codes.is_not_null()
        if form.is_json:
            is_read &= computed(rest, _IN_BRACES)
        levels = levels.scatter(rows.filter(is_read), _LEVELS[codes.filter(is_read)])
        rows, rest = rows.filter(~is_read), rest.filter(~is_read)
    of_rest = _one_by_one if len(rest) < _FEW_LINES else _of_any
    return levels.scatter(rows, of_rest(rest, reader))


def _one_by_one(lines: pl.Series, reader: LevelReader) -> pl.Series:
    return pl.Series(list(map(reader.level, lines.to_list())), dtype=pl.String)


def _sample(lines: pl.Series) -> list[str]:
    return lines.gather_every(-(-len(lines) // _SAMPLE_LINES)).to_list()


def _most_common(found: Iterable[_Found | None]) -> list[_Found]:
    """In the order of their frequency; none where no two lines of the sample have the same."""
    counted = Counter(one for one in found if one is not None).most_common(_MOST_HEADS)
    return [one for one, _ in counted] if counted and counted[0][1] > 1 else []


def _numbers(lines: pl.Series, heads: Sequence[Head]) -> pl.Series:
    """Which head each line has, counted from 1; 0 for none. No line has two: of all its beginnings the head is one."""
    begins = [IT.str.starts_with(head.text).alias(head.text) for head in heads]
    *begin, in_braces = computed_all(lines, *begins, _IN_BRACES)
    # Conditional expressions would wait for other threads.
    numbers = constant(0, len(lines), pl.UInt8)
    for number, (head, has) in enumerate(zip(heads, begin, strict=True), 1):
        numbers += (has & in_braces if head.is_json else has).cast(pl.UInt8) * number
    return numbers


def _of_any(lines: pl.Series, reader: LevelReader) -> pl.Series:
    begins, ends, has_pairs = computed_all(lines, _BEGINS_AS_JSON, _ENDS_AS_JSON, _HAS_PAIRS)
    # Not as expressions: of several inputs, they wake other threads, which takes longer than this does.
    is_json = begins & ends
    if not is_json.any() and not has_pairs.any():
        return _of_words(lines)
    of_words, unsure = constant(True, len(lines), pl.Boolean), constant(False, len(lines), pl.Boolean)
    levels = constant(UNKNOWN, len(lines), pl.String)
    for is_read, patterns in zip((is_json, has_pairs & ~is_json), _patterns(reader.fields), strict=True):
        rows = is_read.arg_true()
        if not len(rows):
            continue
        rows = rows.filter(computed(lines[rows], IT.str.contains(patterns.candidate)))
        if not len(rows):
            continue
        values = computed(lines[rows], IT.str.extract(patterns.value).str.strip_chars_end(_GAPS))
        codes = computed(values, _CODE)
        levels = levels.scatter(rows, _LEVELS[computed(codes, _OR_NONE)])
        unsure = unsure.scatter(rows, values.is_null() | computed(values, _HAS_BACKSLASH))
        of_words = of_words.scatter(rows, codes.is_null())
    if len(rows := (of_words & ~unsure).arg_true()):
        levels = levels.scatter(rows, _of_words(lines[rows]))
    if len(rows := unsure.arg_true()):
        levels = levels.scatter(rows, _one_by_one(lines[rows], reader))
    return levels


def _of_words(lines: pl.Series) -> pl.Series:
    """Of lines that do not say their level as JSON or logfmt."""
    # To see that there is no name at all takes a quarter of the time that the search for whole words does.
    rows = computed(lines, _HAS_NAME).arg_true()
    levels = constant(UNKNOWN, len(lines), pl.String)
    if not len(rows):
        return levels
    return levels.scatter(rows, _LEVELS[computed(lines[rows], _CODE_OF_WORD)])


class _Patterns(NamedTuple):
    candidate: str
    """What a line has that may have a value."""
    value: str
    """One group: the value as it stands in the line."""


@lru_cache(64)  # one for each list of fields in use
def _patterns(fields: tuple[str, ...]) -> tuple[_Patterns, _Patterns]:
    """For JSON and for logfmt."""
    names = "|".join(re.escape(name) for name in fields)
    key = key_of_member(fields)
    pairs = rf"(?:{_NAME}(?:=(?:{_WELL_FORMED}{GAP}*|{BARE}*{GAP}+)|{GAP}+))*?"
    # The key that stands first in the list ends the search, even without a value.
    first = rf"{key_in_any_case(fields[0])}(?:=({STRING}|{BARE}*(?:{GAP}|$))|{GAP}|$)"
    return (
        # A key may also be written with escapes.
        _Patterns(rf'{key}|\\u[^"]*"{SPACE}:', rf"(?s)^{MEMBERS_BEFORE}{key}({STRING})"),
        _Patterns(rf"(?i)(?:{names})=", rf"(?s)^{GAP}*{pairs}{first}"),
    )
