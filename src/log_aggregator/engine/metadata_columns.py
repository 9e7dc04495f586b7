"""Members of structured metadata, which is canonical JSON text (`formats.metadata`), as columns."""

import re

import numpy as np
import polars as pl

from log_aggregator.model.columns import IT, computed


def mentions(metadata: pl.Series, name: str) -> bool:
    """Whether some have the label."""
    if not isinstance(metadata.dtype, pl.Enum):
        return bool(_having(metadata, name).any())
    # All rows have to be looked at only if one of the texts that they may have does.
    having = _having(metadata.dtype.categories, name).arg_true()
    return len(having) > 0 and bool(np.isin(metadata.drop_nulls().to_physical().to_numpy(), having.to_numpy()).any())


def values_of(metadata: pl.Series, name: str) -> pl.Series | None:
    """Of a column of texts the label's values, null where it is missing. None: some are written with escapes."""
    values = computed(metadata, IT.str.extract(rf'"{re.escape(name)}":"([^"\\]*)"'))
    return None if len(values) - values.null_count() < _having(metadata, name).sum() else values


def _having(metadata: pl.Series, name: str) -> pl.Series:
    # Within a value its quotes would be escaped.
    return computed(metadata, IT.str.contains(f'"{name}":', literal=True))
