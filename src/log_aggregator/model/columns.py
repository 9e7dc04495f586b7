"""Columns made of a value, of a few values, or of another column."""

from collections.abc import Sequence

import polars as pl


def constant(value: object, rows: int, dtype: type[pl.DataType]) -> pl.Series:
    """A column of one value. `pl.repeat` is a query plan, which waits for Polars' threads while others use them."""
    return pl.Series([value], dtype=dtype).new_from_index(0, rows)


def coded(values: Sequence[str], numbers: pl.Series) -> pl.Series:
    """A column of few values, by their numbers."""
    return pl.Series(values, dtype=pl.Enum(values)).gather(numbers)


def where(mask: pl.Series, column: pl.Series) -> pl.Series:
    """The column, null in rows that the mask does not have."""
    return column.zip_with(mask, pl.Series([None], dtype=column.dtype))
