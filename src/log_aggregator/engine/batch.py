"""What stages work on: rows as columns, with the table of streams that they number."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from log_aggregator.engine.shapes import Shape
from log_aggregator.model.labels import Labels
from log_aggregator.model.segment import STREAM

Form = Literal["codes", "codes or numbers"]
"""What a column of texts is wanted as: `pl.Enum` if its values are few, else, of plain numbers, floats."""
Integers = npt.NDArray[np.integer]


def narrowest(end: int) -> "type[np.int32 | np.int64]":
    """The type for many numbers from 0 to `end`: of half the width, they take half the time."""
    return np.int32 if end < 1 << 31 else np.int64


@dataclass(frozen=True, slots=True)
class Batch:
    """`frame` has `model.segment.BATCH_SCHEMA`, or the columns of it that were asked for.

    Rows of a chunk may also have the columns that `formats.chunk` stores beside them; `shapes` are then what its
    `shape` column numbers, else None.
    """

    streams: tuple[Labels, ...]
    frame: pl.DataFrame = field(repr=False)
    shapes: tuple[Shape, ...] | None = field(default=None, repr=False)
    runs: tuple[tuple[int, int], ...] | None = field(default=None, repr=False)
    """Where rows stand by stream, and within a stream by time: each stream's number and how many rows it has."""

    @property
    def rows(self) -> int:
        return self.frame.height

    def present(self, frame: pl.DataFrame) -> dict[int, Labels]:
        """The streams of these rows of the batch, or some more, by number."""
        numbers = frame[STREAM].unique() if self.runs is None else {stream for stream, _ in self.runs}
        return {number: self.streams[number] for number in numbers}
