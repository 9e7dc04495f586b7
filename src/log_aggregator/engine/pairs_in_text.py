"""Pairs of logfmt among words, as Kubernetes' components write them: `I0115 main.go:7] "Started" pod="default/x" n=3`.

Of a word without `=` the logfmt stage makes nothing, whatever it is. So where a line is surely made of such words and
of whole pairs, each `=` outside of quotes tells where a pair is. A key's value is the first that is not empty.
"""

from collections.abc import Collection
from typing import Final

import polars as pl

from log_aggregator.engine.entry_labels import EXTRACTED
from log_aggregator.engine.fields import Fields
from log_aggregator.engine.logfmt import unquoted
from log_aggregator.engine.shapes import ESCAPE, PLAIN
from log_aggregator.model.columns import constant, where

_QUOTED: Final = rf'"(?:{PLAIN}|{ESCAPE})*"'
_BARE: Final = r'[^\x00-\x20="\x{fffd}]+'
_VALUE: Final = rf"(?:{_QUOTED}|{_BARE})"
# Keys that are label names as they stand; or any that cannot become a name without an underscore.
_NAMES: Final = "(?:[A-Za-z]|_[A-Za-z0-9])[A-Za-z0-9_]*"
_KEYS: Final = "[A-Za-z0-9][!#-<>-~]*"


def pairs_in_text(lines: pl.Series, names: Collection[str]) -> Fields:
    """`shape` is 1 for lines in which the fields of these names are known, else 0.

    They are those of the logfmt stage that is not strict, keeps no empty values and has no extractions.
    """
    key = _NAMES if any("_" in name for name in names) else _KEYS
    known = lines.str.contains(rf"^ *(?:(?:[^ =]+|{key}={_VALUE})(?: +|$))*$")
    known &= ~lines.str.contains(f"{EXTRACTED}=", literal=True)  # as a name, it may be that of another field, too
    values = {}
    for name in names:
        has_key = known & lines.str.contains(f"{name}=", literal=True)
        if not has_key.any():
            values[name] = constant(None, len(lines), pl.String)
            continue
        groups = where(has_key, lines).str.extract_groups(
            rf'^(?:[^=]*={_VALUE})*?(?:[^=]* )?{name}=(?:"((?:{PLAIN}|{ESCAPE})+)"|({_BARE}))'
        )
        quoted, bare = groups.struct.unnest().get_columns()
        values[name] = _unescaped(quoted).zip_with(bare.is_null(), bare)
    return Fields(known.cast(pl.UInt16), {name: where(known, column) for name, column in values.items()})


def _unescaped(quoted: pl.Series) -> pl.Series:
    rows = quoted.str.contains("\\", literal=True).fill_null(False).arg_true()
    return quoted.scatter(rows, [unquoted(text) for text in quoted.gather(rows)]) if len(rows) else quoted
