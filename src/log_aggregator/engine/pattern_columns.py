"""Patterns over a column of lines.

The `pattern` stage is equal to `text_stages.captures` on each of them, the line filter to `line_filter.pattern_holds`.
"""

from collections.abc import Mapping, Sequence

import polars as pl

from log_aggregator.logql.pattern import UNNAMED, Capture, Pattern, parse_pattern
from log_aggregator.model.columns import constant

_LINE = pl.col("line")
_BEGIN = pl.col("begin")


def pattern_columns(pattern: str, lines: pl.Series, names: Sequence[str]) -> Mapping[str, pl.Series]:
    """The captures of these names, null where a line has none. Those without a name are nowhere.

    Literals are cut off from left to right: a leading one must begin the line; where another is missing, the capture
    before it takes the rest, and those behind it are missing.
    """
    return captured(parse_pattern(pattern).parts, lines, names)


def captured(parts: Sequence[str | Capture], lines: pl.Series, names: Sequence[str]) -> Mapping[str, pl.Series]:
    """`pattern_columns` of a pattern that has been read."""
    wanted = set(names) - {UNNAMED}
    last = max((n for n, part in enumerate(parts) if isinstance(part, Capture) and part.name in wanted), default=-1)
    text = _Text(lines, parts[0] if isinstance(parts[0], str) else "")
    found: dict[str, pl.Series] = {}
    for number, part in enumerate(parts[: last + 1]):
        if not isinstance(part, Capture):
            continue
        literal = parts[number + 1] if number + 1 < len(parts) else None
        if not isinstance(literal, str):
            found[part.name] = text.cut(None)
            break
        lengths = text.find(literal)
        if part.name in wanted:
            found[part.name] = text.cut(lengths)
        text.skip(lengths, literal)
    nothing = constant(None, len(lines), pl.String)
    return {name: found.get(name, nothing) for name in names}


def pattern_mask(pattern: Pattern, lines: pl.Series) -> pl.Series:
    """Which lines the pattern of a line filter describes, none of null. Those that lack a literal are soon given up."""
    if not pattern.parts:
        return lines.eq_missing("")
    text = _Text(lines)
    for number, part in enumerate(pattern.parts):
        if isinstance(part, str):
            lengths = text.find(part)
            text.skip(lengths, part)
            text.keep(lengths > 0 if number else lengths >= 0)
    left = text.lengths()
    text.keep(left == 0 if isinstance(pattern.parts[-1], str) else left > 0)
    return constant(value=False, rows=len(lines), dtype=pl.Boolean).scatter(text.rows, True)


class _Text:
    """What is left of each line: all from `begin` on, an offset in bytes, which is null once a literal was missing.

    To cut the beginning off costs as much as to find a literal. So literals are looked for in lines that begin too
    early, as long as they are not found too early.
    """

    def __init__(self, lines: pl.Series, prefix: str = "") -> None:
        """Of lines that begin with the prefix, or are not empty."""
        matches = _LINE.str.starts_with(prefix) if prefix else _LINE != ""
        begin = pl.when(matches).then(len(prefix.encode())).cast(pl.Int64).alias("begin")
        self._frame = lines.alias("line").to_frame().with_row_index("row").with_columns_seq(begin)
        self._skipped = [prefix]

    def find(self, literal: str) -> pl.Series:
        """The bytes before the literal, null where it is missing."""
        if not any(literal in one for one in self._skipped):
            lengths = self._find(literal)
            if not (lengths < 0).any():
                return lengths
        self._frame = self._frame.with_columns_seq(_cut(None), _BEGIN * 0)
        self._skipped = []
        return self._find(literal)

    @property
    def rows(self) -> pl.Series:
        """The numbers of the lines that have been kept."""
        return self._frame["row"]

    def keep(self, mask: pl.Series) -> None:
        """Gives the other lines up."""
        if mask.sum() < len(mask):
            self._frame = self._frame.filter(mask)

    def lengths(self) -> pl.Series:
        """The bytes that are left."""
        return self._frame.select_seq(_LINE.str.len_bytes().cast(pl.Int64) - _BEGIN)["line"]

    def cut(self, lengths: pl.Series | None) -> pl.Series:
        """What is left up to these lengths; all of it where there are none."""
        return self._frame.select_seq(_cut(lengths))["line"]

    def skip(self, lengths: pl.Series, literal: str) -> None:
        """What is left behind the literal."""
        self._frame = self._frame.with_columns_seq(_BEGIN + lengths + len(literal.encode()))
        self._skipped.append(literal)

    def _find(self, literal: str) -> pl.Series:
        return self._frame.select_seq(_LINE.str.find(literal, literal=True).cast(pl.Int64) - _BEGIN)["line"]


def _cut(lengths: pl.Series | None) -> pl.Expr:
    # By bytes, which is what offsets count; splitting takes longer.
    octets = _LINE.cast(pl.Binary)
    most = None if lengths is None else pl.lit(lengths).fill_null(octets.bin.size())
    return octets.bin.slice(_BEGIN, most).cast(pl.String)
