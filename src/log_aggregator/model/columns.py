"""Columns that stand for something of themselves."""

import polars as pl


def constant(value: object, rows: int, dtype: type[pl.DataType]) -> pl.Series:
    """A column of one value. `pl.repeat` is a query plan, which waits for Polars' threads while others use them."""
    return pl.Series([value], dtype=dtype).new_from_index(0, rows)
