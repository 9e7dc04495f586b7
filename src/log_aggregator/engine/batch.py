"""What stages work on: rows as columns, with the table of streams that they number."""

from dataclasses import dataclass, field

import polars as pl

from log_aggregator.engine.shapes import Shape
from log_aggregator.model.labels import Labels


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
