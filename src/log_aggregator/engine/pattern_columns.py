"""The `pattern` stage over a column of lines: equal to `text_stages.captures` on each of them."""

from collections.abc import Mapping, Sequence

import polars as pl

from log_aggregator.logql.pattern import UNNAMED, Capture, parse_pattern

_LINE = pl.col("line")


def pattern_columns(pattern: str, lines: pl.Series, names: Sequence[str]) -> Mapping[str, pl.Series]:
    """The captures of these names, null where a line has none. Those without a name are nowhere.

    Literals are cut off from left to right: a leading one must begin the line; where another is missing, the capture
    before it takes the rest, and those behind it are missing.
    """
    parts = parse_pattern(pattern).parts
    wanted = set(names) - {UNNAMED}
    last = max((n for n, part in enumerate(parts) if isinstance(part, Capture) and part.name in wanted), default=-1)
    frame = lines.alias("line").to_frame()
    first = parts[0]
    if isinstance(first, str):
        rest = pl.when(_LINE.str.starts_with(first)).then(_LINE.str.strip_prefix(first))
    else:
        rest = pl.when(_LINE != "").then(_LINE)
    frame = frame.select(rest.alias("line"))
    found: dict[str, pl.Series] = {}
    for number, part in enumerate(parts[: last + 1]):
        if not isinstance(part, Capture):
            continue
        literal = parts[number + 1] if number + 1 < len(parts) else None
        if not isinstance(literal, str):
            found[part.name] = frame["line"]
            break
        # Slices of bytes share the text that they are cut from; splitting would copy it each time.
        frame = frame.select_seq(_LINE.cast(pl.Binary), _LINE.str.find(literal, literal=True).alias("at"))
        if part.name in wanted:
            value = _LINE.bin.slice(0, pl.col("at").fill_null(_LINE.bin.size()))
            found[part.name] = frame.select_seq(value.cast(pl.String))["line"]
        # Null where the literal is missing.
        frame = frame.select_seq(_LINE.bin.slice(pl.col("at") + len(literal.encode())).cast(pl.String))
    nothing = pl.repeat(None, len(lines), dtype=pl.String, eager=True)
    return {name: found.get(name, nothing) for name in names}
