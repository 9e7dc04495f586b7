"""Partial results of a range aggregation: made small where one is computed, renumbered where they meet."""

from collections.abc import Sequence

import polars as pl

from log_aggregator.engine.windows import COUNT, COUNTED_SCHEMA, SERIES, TOTALS_SCHEMA, VALUE
from log_aggregator.formats.partial_result import PartialResult
from log_aggregator.model.labels import Labels


def partial_result(
    series: Sequence[Labels],
    totals: Sequence[pl.DataFrame],
    counted: Sequence[pl.DataFrame],
    samples: Sequence[pl.DataFrame],
    samples_schema: pl.Schema,
) -> PartialResult:
    """Whole numbers added up, samples as they are."""
    return PartialResult(
        tuple(series),
        _summed(totals, TOTALS_SCHEMA),
        _summed(counted, COUNTED_SCHEMA),
        pl.concat([pl.DataFrame(schema=samples_schema), *samples]),
    )


def renumbered(frame: pl.DataFrame, numbers: pl.Series) -> pl.DataFrame:
    """Each series under the number that `numbers` has in its place."""
    return frame.with_columns(numbers.gather(frame[SERIES]).alias(SERIES))


def _summed(frames: Sequence[pl.DataFrame], schema: pl.Schema) -> pl.DataFrame:
    keys = [name for name in schema if name not in (COUNT, VALUE)]
    return pl.concat([pl.DataFrame(schema=schema), *frames]).group_by(keys).sum().select(schema.names())
