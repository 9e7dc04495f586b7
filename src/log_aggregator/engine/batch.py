"""What stages work on: rows as columns, with the table of streams that they number."""

from dataclasses import dataclass, field

import polars as pl

from log_aggregator.model.labels import Labels


@dataclass(frozen=True, slots=True)
class Batch:
    """`frame` has `model.segment.BATCH_SCHEMA`, or the columns of it that were asked for."""

    streams: tuple[Labels, ...]
    frame: pl.DataFrame = field(repr=False)

    @property
    def rows(self) -> int:
        return self.frame.height
