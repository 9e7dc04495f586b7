"""The `regexp` stage over a column of lines: equal to `text_stages.compile_regexp` on each of them."""

from collections.abc import Mapping, Sequence
from functools import reduce

import polars as pl

from log_aggregator.engine.capturing_regex import capturing_regex
from log_aggregator.engine.entry_labels import sanitise
from log_aggregator.logql.regex import group_names
from log_aggregator.model.columns import constant, where

_LINE = pl.col("line")


def has_regexp_columns(pattern: str) -> bool:
    """Whether columns surely hold what the stage captures."""
    return capturing_regex(pattern, frozenset(group_names(pattern))) is not None


def regexp_labels(pattern: str) -> Mapping[str, str]:
    """The groups by the labels that they give, in order. Of several for one label the first gives it."""
    labels: dict[str, str] = {}
    for group in group_names(pattern):
        labels.setdefault(sanitise(group), group)
    return labels


def regexp_columns(pattern: str, lines: pl.Series, names: Sequence[str]) -> Mapping[str, pl.Series]:
    """The labels of these names, of a pattern that `has_regexp_columns`; null where it is not found in the line."""
    wanted = {label: group for label, group in regexp_labels(pattern).items() if label in names}
    capturing = capturing_regex(pattern, frozenset(wanted.values()))
    finding = capturing_regex(pattern, frozenset())
    assert capturing is not None
    assert finding is not None
    columns = _captures(lines.alias("line"), capturing, finding) if wanted else ()
    found = dict(zip(wanted, columns, strict=True))
    return {name: found[name] if name in found else constant(None, len(lines), pl.String) for name in names}


def _captures(lines: pl.Series, capturing: str, finding: str) -> Sequence[pl.Series]:
    """What each group holds; a group that took no part is empty. Each expression is computed where it stands."""
    frame = lines.to_frame()
    columns = frame.select_seq(_LINE.str.extract_groups(capturing))["line"].struct.unnest().get_columns()
    if not any(column.null_count() for column in columns):
        return columns
    absent = reduce(lambda left, right: left & right, (column.is_null() for column in columns))
    # Where none has taken part, to look again is quick: no group is to be followed.
    candidates = frame.select_seq(pl.when(absent).then(_LINE).alias("line"))
    found = candidates.select_seq(_LINE.str.contains(finding).fill_null(True))["line"]
    filled = [column.fill_null("") for column in columns]
    return [where(found, column) for column in filled]
