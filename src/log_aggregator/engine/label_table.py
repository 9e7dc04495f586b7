"""A table of streams with each label as a column, so that a selector looks at distinct values, not at streams."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from log_aggregator.engine.selector import LabelValues, Selector
from log_aggregator.logql.ast import Matcher
from log_aggregator.model.columns import constant
from log_aggregator.model.labels import Labels
from log_aggregator.model.segment import STREAM

VALUE = "value"
_COLUMN_SCHEMA = pl.Schema({STREAM: pl.UInt32, VALUE: pl.String})


class _Pairs(NamedTuple):
    """Of one label, the streams that have it, and what they have."""

    streams: list[int]
    places: list[int]
    """Of their values."""
    values: dict[str, int]
    """Each with its place. The first is the empty one, which stands for none."""


class LabelTable:
    """Numbers streams from 0 in the order in which they are first seen. Masks are boolean, by stream number."""

    def __init__(self) -> None:
        self._numbers: dict[Labels, int] = {}
        self._streams: list[Labels] = []
        self._pairs: dict[str, _Pairs] = {}
        self._columns: dict[str, pl.DataFrame] = {}
        self._values: dict[str, LabelValues] = {}

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
        column = self._columns.get(name)
        if column is None:
            pairs = self._pairs.get(name)
            if pairs is None:
                return pl.DataFrame(schema=_COLUMN_SCHEMA)
            values = pl.Series(list(pairs.values), dtype=pl.String)[pairs.places]
            column = self._columns[name] = pl.DataFrame([pairs.streams, values], _COLUMN_SCHEMA)
        return column

    def accepted(self, selector: Sequence[Matcher]) -> pl.Series:
        """The mask of the streams that satisfy every matcher."""
        return pl.Series(Selector(selector).mask(len(self), self._values_of), dtype=pl.Boolean)

    def present(self, numbers: pl.Series) -> pl.Series:
        """The mask of the streams with these numbers."""
        return constant(False, len(self), pl.Boolean).scatter(numbers, True)

    def _values_of(self, name: str) -> LabelValues:
        known = self._values.get(name)
        if known is None or len(known.numbers) < len(self):
            numbers = np.zeros(len(self), np.uint32)
            pairs = self._pairs.get(name)
            if pairs is None:
                return LabelValues([""], numbers)
            numbers[pairs.streams] = pairs.places
            known = self._values[name] = LabelValues(list(pairs.values), numbers)
        return known

    def _number(self, labels: Labels) -> int:
        number = self._numbers.get(labels)
        if number is None:
            number = self._numbers[labels] = len(self._streams)
            self._streams.append(labels)
            for name, value in labels:
                pairs = self._pairs.get(name)
                if pairs is None:
                    pairs = self._pairs[name] = _Pairs([], [], {"": 0})
                pairs.streams.append(number)
                pairs.places.append(pairs.values.setdefault(value, len(pairs.values)))
                self._columns.pop(name, None)
        return number
