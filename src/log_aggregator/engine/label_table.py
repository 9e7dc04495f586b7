"""A table of streams with each label as a column, so that a selector looks at distinct values, not at streams."""

from collections.abc import Sequence

import polars as pl

from log_aggregator.engine.selector import compile_matcher
from log_aggregator.logql.ast import Matcher
from log_aggregator.model.columns import constant
from log_aggregator.model.labels import Labels
from log_aggregator.model.segment import STREAM

VALUE = "value"
_COLUMN_SCHEMA = pl.Schema({STREAM: pl.UInt32, VALUE: pl.String})


class LabelTable:
    """Numbers streams from 0 in the order in which they are first seen. Masks are boolean, by stream number."""

    def __init__(self) -> None:
        self._numbers: dict[Labels, int] = {}
        self._streams: list[Labels] = []
        self._pairs: dict[str, tuple[list[int], list[str]]] = {}
        self._columns: dict[str, pl.DataFrame] = {}

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
            column = pl.DataFrame(self._pairs.get(name, ([], [])), _COLUMN_SCHEMA)
            self._columns[name] = column
        return column

    def accepted(self, selector: Sequence[Matcher]) -> pl.Series:
        """The mask of the streams that satisfy every matcher."""
        mask = constant(True, len(self), pl.Boolean)
        for matcher in selector:
            mask &= self._satisfied(matcher)
        return mask

    def present(self, numbers: pl.Series) -> pl.Series:
        """The mask of the streams with these numbers."""
        return constant(False, len(self), pl.Boolean).scatter(numbers, True)

    def _satisfied(self, matcher: Matcher) -> pl.Series:
        satisfies = compile_matcher(matcher)
        column = self.column(matcher.name)
        values = [value for value in column[VALUE].unique() if satisfies(value)]
        # Where the label is missing its value is empty.
        mask = constant(satisfies(""), len(self), pl.Boolean)
        return mask.scatter(column[STREAM], column[VALUE].is_in(values))

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
