"""Columns made of a value, of a few values, or of another column, and what columns take."""

from collections.abc import Sequence

import polars as pl

# Polars counts the characters of a text, and not the view of them, which is the text itself if it is short.
_VIEW_BYTES = 16


def bytes_in_memory(data: pl.DataFrame | pl.Series) -> int:
    """In memory."""
    columns = data.get_columns() if isinstance(data, pl.DataFrame) else [data]
    texts = sum(isinstance(column.dtype, pl.String) for column in columns)
    return int(data.estimated_size()) + texts * _VIEW_BYTES * len(data)


def constant(value: object, rows: int, dtype: type[pl.DataType]) -> pl.Series:
    """A column of one value. `pl.repeat` is a query plan, which waits for Polars' threads while others use them."""
    return pl.Series([value], dtype=dtype).new_from_index(0, rows)


def coded(values: Sequence[str] | pl.Series, numbers: pl.Series) -> pl.Series:
    """A column of few values, by their numbers."""
    return pl.Series(values, dtype=pl.Enum(values)).gather(numbers)


def with_texts(column: pl.Series, rows: pl.Series, texts: pl.Series) -> pl.Series:
    """The column, with these texts in a few of its rows."""
    if not isinstance(column.dtype, pl.Enum):
        return column.clone().scatter(rows, texts)
    values = pl.concat([column.dtype.categories, texts.drop_nulls()]).unique(maintain_order=True)
    places = texts.cast(pl.Enum(values)).to_physical().cast(pl.UInt32)
    return coded(values, column.to_physical().cast(pl.UInt32).scatter(rows, places))


def told_apart(column: pl.Series) -> tuple[pl.Series, pl.Series]:
    """The distinct texts of a column, and null behind them; and the place of each row's among these."""
    dtype = column.dtype  # made anew, and its categories, whenever they are asked for
    if not isinstance(dtype, pl.Enum):
        dtype = pl.Enum(column.unique().drop_nulls())
        column = column.cast(dtype)
    values = pl.concat([dtype.categories, pl.Series([None], dtype=pl.String)])
    return values, column.to_physical().cast(pl.UInt32).fill_null(len(values) - 1)


def where(mask: pl.Series, column: pl.Series) -> pl.Series:
    """The column, null in rows that the mask does not have."""
    return column.zip_with(mask, pl.Series([None], dtype=column.dtype))
