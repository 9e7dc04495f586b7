"""Partial results of a range aggregation, as they go from one replica to another."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from log_aggregator.engine.batch import Integers
from log_aggregator.engine.windows import SERIES, Totals
from log_aggregator.formats.partial_result import PartialResult
from log_aggregator.model.labels import Labels

TOTALS_SCHEMA = pl.Schema({SERIES: pl.Int64, "place": pl.Int64, "count": pl.Int64, "value": pl.Int64})


def partial_result(
    series: Sequence[Labels], totals: Totals, samples: Sequence[pl.DataFrame], samples_schema: pl.Schema
) -> PartialResult:
    return PartialResult(
        tuple(series),
        pl.DataFrame(dict(zip(TOTALS_SCHEMA, totals.columns, strict=True)), TOTALS_SCHEMA),
        pl.concat([pl.DataFrame(schema=samples_schema), *samples]),
    )


def totals_of(partial: PartialResult) -> Totals:
    return Totals(*(partial.totals[name].to_numpy() for name in TOTALS_SCHEMA))


def renumbered(samples: pl.DataFrame, numbers: Integers) -> pl.DataFrame:
    """Each series under the number that `numbers` has in its place."""
    series = pl.Series(SERIES, numbers[samples[SERIES].to_numpy()].astype(np.uint32))
    return samples.with_columns(series)
