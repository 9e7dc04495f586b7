"""Members of structured metadata, which is canonical JSON text (`formats.metadata`), as columns."""

import re

import polars as pl


def mentions(metadata: pl.Series, name: str) -> bool:
    """Whether some have the label."""
    if isinstance(metadata.dtype, pl.Enum):
        metadata = metadata.unique().cast(pl.String)
    return bool(_having(metadata, name).any())


def values_of(metadata: pl.Series, name: str) -> pl.Series | None:
    """Of a column of texts the label's values, null where it is missing. None: some are written with escapes."""
    values = metadata.str.extract(rf'"{re.escape(name)}":"([^"\\]*)"')
    return None if values.is_not_null().sum() < _having(metadata, name).sum() else values


def _having(metadata: pl.Series, name: str) -> pl.Series:
    # Within a value its quotes would be escaped.
    return metadata.str.contains(f'"{name}":', literal=True)
