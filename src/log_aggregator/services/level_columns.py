"""Level detection over a column of lines: `level.level_of_line` for all of them at once.

The common forms are read by regular expressions that find what the row-wise reader would find, or nothing. Where they
find nothing although a level field seems to be there, the row-wise reader decides. Programs that put the level first
are recognised by how their lines begin, which is several times faster.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import polars as pl

from log_aggregator.model.columns import constant
from log_aggregator.services.level import (
    ASCII_SPACE,
    GO_SPACE,
    LEVEL_OF_NAME,
    NAME_PATTERN,
    UNKNOWN,
    WORD_PATTERN,
    Head,
    head_of_line,
    level_of_line,
)

_FEW_LINES: Final = 200
"""Below this the lines one by one cost less than setting up the expressions, as measured."""

_SAMPLE_LINES: Final = 24
_MOST_HEADS: Final = 5
"""Each costs a look at all lines; those that have none of the heads are read in a slower way."""

_SPACE: Final = r"[ \t\r\n]*"
_STRING: Final = r'"(?:[^"\\]|\\.)*"'
_FLAT_VALUE: Final = rf'(?:{_STRING}|(?:true|false|null)|[-0-9][^ \t\r\n,}}\]]*|\[(?:[^\[\]"]|{_STRING})*\])'
_WORD_BYTE: Final = r'[^\x00-\x20="]'
_KEY: Final = r'[^\x00-\x20="\x{fffd}]+'
_GAP: Final = r"[\x00-\x20]"
_GAPS: Final = "".join(map(chr, range(0x21)))

_LEVEL_OF_VALUE: Final = {f'"{name}"': level for name, level in LEVEL_OF_NAME.items()} | dict(LEVEL_OF_NAME)
_VALUES: Final = pl.Enum(list(_LEVEL_OF_VALUE))
"""A cast to an enumeration is a lookup that costs nothing to set up; what is not in it becomes null."""
_LEVELS: Final = pl.Series([*_LEVEL_OF_VALUE.values(), UNKNOWN])
"""By the code of a value, and one more for those that have none."""

_LINE: Final = pl.col("line")
_BEGINS_AS_JSON: Final = _LINE.str.strip_chars_start(GO_SPACE).str.starts_with("{").alias("{")
_ENDS_AS_JSON: Final = _LINE.str.strip_chars_end(ASCII_SPACE).str.ends_with("}").alias("}")
_HAS_PAIRS: Final = _LINE.str.contains("=", literal=True).alias("=")
_JSON: Final = pl.col("json")
_LOGFMT: Final = pl.col("logfmt")
_VALUE: Final = pl.col("value")
_CODE: Final = pl.col("code")
_UNSURE: Final = pl.col("unsure")
_NO_CODE: Final = pl.lit(len(_LEVEL_OF_VALUE), dtype=pl.UInt8)


@dataclass(frozen=True, slots=True)
class _Steps:
    """The detection as expressions, each over the columns that those before it made."""

    value: pl.Expr
    """What the line says of its level, as it stands there: a quoted string, or a bare word of logfmt."""
    code: pl.Expr
    unsure: pl.Expr
    """Nothing was found where something may be, or a logfmt value has to be unescaped."""
    word: pl.Expr


def levels_of_lines(lines: pl.Series, fields: Sequence[str], max_depth: int) -> pl.Series:
    """`level_of_line` of each line, as strings."""
    if len(lines) < _FEW_LINES:
        return _one_by_one(lines, fields, max_depth)
    heads = _heads(lines, fields, max_depth)
    if not heads:
        return _of_any(lines, fields, max_depth)
    numbers = _numbers(lines, heads)
    levels = pl.Series([None, *(head.level for head in heads)])[numbers]
    if numbers.min():
        return levels
    rows = (numbers == 0).arg_true()
    # Where heads are common, a sample of the rest shows the rarer ones.
    of_rest = levels_of_lines if len(rows) <= len(lines) // 2 else _of_any
    return levels.scatter(rows, of_rest(lines[rows], fields, max_depth))


def _one_by_one(lines: pl.Series, fields: Sequence[str], max_depth: int) -> pl.Series:
    return pl.Series([level_of_line(line, fields, max_depth) for line in lines], dtype=pl.String)


def _heads(lines: pl.Series, fields: Sequence[str], max_depth: int) -> list[Head]:
    """Those of a sample of the lines, the most frequent first; none where no two lines of it have the same."""
    sample = lines.gather_every(-(-len(lines) // _SAMPLE_LINES)).to_list()
    heads = Counter(filter(None, (head_of_line(line, fields, max_depth) for line in sample))).most_common(_MOST_HEADS)
    return [head for head, _ in heads] if heads and heads[0][1] > 1 else []


def _numbers(lines: pl.Series, heads: Sequence[Head]) -> pl.Series:
    """Which head each line has, counted from 1; 0 for none. No line has two: of all its beginnings the head is one."""
    begins = [_LINE.str.starts_with(head.text).alias(head.text) for head in heads]
    in_braces = _LINE.str.ends_with("}").alias("}")
    columns = lines.alias("line").to_frame().select_seq(*begins, in_braces)
    # Conditional expressions would wait for other threads.
    numbers = constant(0, len(lines), pl.UInt8)
    for number, head in enumerate(heads, 1):
        has = columns[head.text] & columns["}"] if head.is_json else columns[head.text]
        numbers += has.cast(pl.UInt8) * number
    return numbers


def _of_any(lines: pl.Series, fields: Sequence[str], max_depth: int) -> pl.Series:
    looks = lines.alias("line").to_frame().select_seq(_BEGINS_AS_JSON, _ENDS_AS_JSON, _HAS_PAIRS)
    # Not as expressions: of several inputs, they wake other threads, which takes longer than this does.
    is_json = looks["{"] & looks["}"]
    is_logfmt = looks["="] & ~is_json
    if not is_json.any() and not is_logfmt.any():
        return _of_words(lines)
    steps = _steps(tuple(fields))
    frame = (
        pl.DataFrame({"line": lines, "json": is_json, "logfmt": is_logfmt})
        .with_columns_seq(value=steps.value)
        .with_columns_seq(code=steps.code, unsure=steps.unsure)
        .select_seq("unsure", code=pl.coalesce(_CODE, steps.word, _NO_CODE))
    )
    levels = _LEVELS[frame["code"]]
    if not frame["unsure"].any():
        return levels
    rows = frame["unsure"].arg_true()
    return levels.scatter(rows, [level_of_line(line, fields, max_depth) for line in lines[rows]])


def _of_words(lines: pl.Series) -> pl.Series:
    """Of lines that are neither JSON nor logfmt."""
    # To see that there is no name at all takes a quarter of the time that the search for whole words does.
    rows = lines.str.contains(NAME_PATTERN).arg_true()
    codes = constant(len(_LEVEL_OF_VALUE), len(lines), pl.UInt8)
    if len(rows):
        found = lines[rows].alias("line").to_frame().select_seq(word=_code_of_word(_LINE).fill_null(_NO_CODE))
        codes = codes.scatter(rows, found["word"])
    return _LEVELS[codes]


@lru_cache(64)  # one for each list of fields in use; to build them costs as much as to run them on few lines
def _steps(fields: tuple[str, ...]) -> _Steps:
    patterns = _patterns(fields)
    missing = _VALUE.is_null()
    return _Steps(
        value=pl.coalesce(
            _where(_JSON).str.extract(patterns.json_value),
            _where(_LOGFMT).str.extract(patterns.logfmt_value).str.strip_chars_end(_GAPS),
        ),
        code=_code_of(_VALUE),
        unsure=pl.coalesce(
            _where(_JSON & missing).str.contains(patterns.json_candidate),
            _where(_LOGFMT & missing).str.contains(patterns.logfmt_candidate),
            _LOGFMT & _VALUE.str.contains("\\", literal=True),
            pl.lit(False),
        ),
        word=_code_of_word(_where(_CODE.is_null() & ~_UNSURE)),
    )


def _where(condition: pl.Expr) -> pl.Expr:
    """The lines that fulfil the condition; the others are null, and cost nothing in what follows."""
    return pl.when(condition).then(_LINE)


def _code_of_word(line: pl.Expr) -> pl.Expr:
    return _code_of(line.str.extract(WORD_PATTERN).str.replace_all("İ", "i", literal=True))


def _code_of(value: pl.Expr) -> pl.Expr:
    return value.str.to_lowercase().cast(_VALUES, strict=False).to_physical()


@dataclass(frozen=True, slots=True)
class _Patterns:
    """Regular expressions for one list of fields. `*_value` has one group: the value as it stands in the line."""

    json_value: str
    json_candidate: str
    logfmt_value: str
    logfmt_candidate: str


def _patterns(fields: tuple[str, ...]) -> _Patterns:
    names = "|".join(re.escape(name) for name in fields)
    key = rf'"(?:{names})"{_SPACE}:{_SPACE}'
    # Lazily repeated: the first member that can be the answer is the answer.
    members = rf'(?:"[^"\\]*"{_SPACE}:{_SPACE}{_FLAT_VALUE}{_SPACE},{_SPACE})*?'
    pairs = rf"(?:{_KEY}(?:=(?:{_STRING}{_GAP}*|{_WORD_BYTE}*{_GAP}+)|{_GAP}+))*?"
    return _Patterns(
        json_value=rf"(?s)^{_SPACE}\{{{_SPACE}{members}{key}({_STRING})",
        # A key may also be written with escapes.
        json_candidate=rf'{key}|\\u[^"]*"{_SPACE}:',
        # The key that stands first in the list ends the search, even without a value.
        logfmt_value=rf"(?s)^{_GAP}*{pairs}(?i:{re.escape(fields[0])})"
        rf"(?:=({_STRING}|{_WORD_BYTE}*(?:{_GAP}|$))|{_GAP}|$)",
        logfmt_candidate=rf"(?i)(?:{names})=",
    )
