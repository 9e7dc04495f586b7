"""A table of streams with each label as a column, so that a selector looks at distinct values, not at streams."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from log_aggregator.engine.selector import compile_matcher
from log_aggregator.logql.ast import Matcher
from log_aggregator.model.columns import constant, told_apart
from log_aggregator.model.labels import Labels
from log_aggregator.model.segment import STREAM

VALUE = "value"
_COLUMN_SCHEMA = pl.Schema({STREAM: pl.UInt32, VALUE: pl.String})


class _Column(NamedTuple):
    frame: pl.DataFrame
    values: list[str]
    places: NDArray[np.uint32]
    """Where among the values that of each row of the frame is."""


class LabelTable:
    """Numbers streams from 0 in the order in which they are first seen. Masks are boolean, by stream number."""

    def __init__(self) -> None:
        self._numbers: dict[Labels, int] = {}
        self._streams: list[Labels] = []
        self._pairs: dict[str, tuple[list[int], list[str]]] = {}
        self._columns: dict[str, _Column] = {}

    def __len__(self) -> int:
        return len(self._streams)

    @property
    def names(self) -> tuple[str, ...]:
        """Of every label that some stream has."""
        return tuple(self._pairs)

    def numbers(self, streams: Sequence[Labels]) -> pl.Series:
        """The number of each stream. New ones join the table."""
        return pl.Series(STREAM, [self._number(labels) for labels in streams], dtype=pl.UInt32)

    def streams(self, numbers: pl.Series) -> list[Labels]:
        return [self._streams[number] for number in numbers]

    def column(self, name: str) -> pl.DataFrame:
        """The streams that have the label, with its value."""
        return self._column(name).frame

    def accepted(self, selector: Sequence[Matcher]) -> pl.Series:
        """The mask of the streams that satisfy every matcher."""
        mask = np.ones(len(self), np.bool_)
        for matcher in selector:
            mask &= self._satisfied(matcher)
        return pl.Series(mask)

    def present(self, numbers: pl.Series) -> pl.Series:
        """The mask of the streams with these numbers."""
        return constant(False, len(self), pl.Boolean).scatter(numbers, True)

    def _column(self, name: str) -> _Column:
        column = self._columns.get(name)
        if column is None:
            frame = pl.DataFrame(self._pairs.get(name, ([], [])), _COLUMN_SCHEMA)
            values, places = told_apart(frame[VALUE])
            column = self._columns[name] = _Column(frame, values[:-1].to_list(), places.to_numpy())
        return column

    def _satisfied(self, matcher: Matcher) -> NDArray[np.bool_]:
        satisfies = compile_matcher(matcher)
        column = self._column(matcher.name)
        # Where the label is missing its value is empty.
        mask = np.full(len(self), satisfies(""))
        of_values = np.fromiter(map(satisfies, column.values), np.bool_, len(column.values))
        mask[column.frame[STREAM].to_numpy()] = of_values[column.places]
        return mask

    def _number(self, labels: Labels) -> int:
        number = self._numbers.get(labels)
        if number is None:
            number = self._numbers[labels] = len(self._streams)
            self._streams.append(labels)
            for name, value in labels:
                numbers, values = self._pairs.setdefault(name, ([], []))
                numbers.append(number)
                values.append(value)
                self._columns.pop(name, None)
        return number
