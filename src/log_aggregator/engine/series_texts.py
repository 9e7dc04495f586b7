"""The series of rows as a column of texts, where no stage looks at the values of labels.

Then rows that have the same names, of stream labels, metadata and fields, have series of the same names, whose values
come from the same places. An outline tells which for all of them (`engine.label_plan`), and columns put them together.
"""

import secrets
from collections.abc import Mapping
from typing import Final

import numpy as np
import polars as pl

from log_aggregator.engine.combinations import Combinations
from log_aggregator.engine.entry_labels import OF_ERRORS, REPLACEMENT
from log_aggregator.engine.label_reader import KIND
from log_aggregator.engine.label_texts import escaped_column, texts_like
from log_aggregator.engine.leaf_plan import OutlinedLeaf
from log_aggregator.engine.metadata_columns import values_of
from log_aggregator.engine.parser_chain import name_of
from log_aggregator.formats.metadata import parse_metadata
from log_aggregator.model.columns import coded, constant
from log_aggregator.model.labels import Labels
from log_aggregator.model.segment import METADATA, STREAM

# To put the labels of rows that are alike together takes as long as to look at so many rows one by one.
_FEWEST_ALIKE: Final = 16
_FEW_PATTERNS: Final = 8
# Of the labels of streams.
_MOST_NAMES: Final = 100
_PLAIN_METADATA: Final = r'^(?:\{"[A-Za-z0-9_]+":"[^"\\]*"(?:,"[A-Za-z0-9_]+":"[^"\\]*")*\})?$'
# Before the name of a stream label or of metadata, for its value, in outlines and among columns.
_OF_STREAM, _OF_METADATA = secrets.token_hex(8), secrets.token_hex(8)


def presence(column: pl.Series) -> pl.Series:
    """Of one value where the column has one, else null."""
    there = column.is_not_null()
    return coded(["there"], there.replace_strict({True: 0}, default=None, return_dtype=pl.UInt32))


def series_texts(
    outlined: OutlinedLeaf,
    combinations: Combinations,
    frame: pl.DataFrame,
    present: Mapping[int, Labels],
    fields: Mapping[str, pl.Series],
) -> pl.Series | None:
    """The texts of the rows' labels, null where they do not count. None if few rows are alike.

    `combinations` are those of the outlines, `present` the streams of the rows. Raises PipelineFailed.
    """
    present, of_streams = _with_streams_apart(frame, present, combinations.names)
    frame, of_metadata = _with_metadata_apart(frame)
    marked = {**of_streams, **of_metadata}
    # What tells rows that are alike from others: how lines are read, and which labels there are.
    told = {key: column if name_of(key) == KIND else presence(column) for key, column in fields.items()}
    alike = combinations.packed(frame, present, told)
    if alike is None:
        return None
    distinct, counts = np.unique(alike.numbers, return_counts=True)
    if len(distinct) > max(_FEW_PATTERNS, frame.height // _FEWEST_ALIKE):
        return None
    columns = {key: escaped_column(column) for key, column in {**fields, **marked}.items() if name_of(key) != KIND}
    order = None
    if len(distinct) > 1:  # so that rows that are alike stand together
        order = pl.Series(np.argsort(alike.numbers, kind="stable"))
        columns = {key: column.gather(order) for key, column in columns.items()}
    texts, begin = [], 0
    for (stream, metadata, *values), count in zip(alike.values(distinct), counts.tolist(), strict=True):
        assert isinstance(stream, tuple)
        assert isinstance(metadata, tuple)
        there = {key: value for key, value in zip(told, values, strict=True) if value is not None}
        like = outlined.like(stream, dict(metadata), there)  # type: ignore[arg-type]
        if like is None:
            texts.append(constant(None, count, pl.String))
        else:
            like = [(name, value, value if value in marked else source) for name, value, source in like]
            texts.append(texts_like(like, {key: column.slice(begin, count) for key, column in columns.items()}, count))
        begin += count
    joined = pl.concat(texts)
    return joined if order is None else joined.gather(order.arg_sort())


def _with_streams_apart(
    frame: pl.DataFrame, present: Mapping[int, Labels], wanted: frozenset[str] | None
) -> tuple[Mapping[int, Labels], Mapping[str, pl.Series]]:
    """The streams with marks for values of the labels that are wanted (None: of all), and the values by mark.

    As they were, if one holds U+FFFD, which is not read, or is named as errors are, which are more than labels; or if
    they have many names, each of which would be a column.
    """
    if wanted is not None:
        present = {number: tuple(pair for pair in labels if pair[0] in wanted) for number, labels in present.items()}
    names = {name for labels in present.values() for name, _ in labels}
    if len(names) > _MOST_NAMES or not names.isdisjoint(OF_ERRORS):
        return present, {}
    if any(REPLACEMENT in value for labels in present.values() for _, value in labels):
        return present, {}
    size = max(present) + 1
    tables: dict[str, list[str | None]] = {_OF_STREAM + name: [None] * size for name in names}
    for number, labels in present.items():
        for name, value in labels:
            tables[_OF_STREAM + name][number] = value
    marked = {number: tuple((name, _OF_STREAM + name) for name, _ in labels) for number, labels in present.items()}
    return marked, {mark: pl.Series(table, dtype=pl.String).gather(frame[STREAM]) for mark, table in tables.items()}


def _with_metadata_apart(frame: pl.DataFrame) -> tuple[pl.DataFrame, Mapping[str, pl.Series]]:
    """The same of metadata, where it differs in most rows: it is text then. As it was, if that is not sure."""
    if METADATA not in frame.columns or frame[METADATA].dtype != pl.String:
        return frame, {}
    metadata = frame[METADATA]
    if not metadata.str.contains(_PLAIN_METADATA).all() or metadata.str.contains(REPLACEMENT, literal=True).any():
        return frame, {}
    marked = metadata.str.replace_all('"([^"]*)":"[^"]*"', f'"${{1}}":"{_OF_METADATA}${{1}}"')
    patterns = marked.unique()
    if len(patterns) > _FEW_PATTERNS:
        return frame, {}
    names = {name for pattern in patterns for name in parse_metadata(pattern)}
    if not names.isdisjoint(OF_ERRORS):
        return frame, {}
    values = {_OF_METADATA + name: column for name in names if (column := values_of(metadata, name)) is not None}
    return frame.with_columns(marked.alias(METADATA)), values
