"""Columns made of a value, of a few values, or of another column, and what columns take."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

IT: Final = pl.col("it")
"""The column in an expression for `computed`."""
_MORE: Final = [IT.alias(f"it {number}") for number in range(1, pl.thread_pool_size())]

_FEW_TEXTS: Final = 500  # that Python puts in order before Polars has woken its threads

# Polars counts the characters of a text, and not the view of them, which is the text itself if it is short.
_VIEW_BYTES = 16


def bytes_in_memory(data: pl.DataFrame | pl.Series) -> int:
    """In memory."""
    columns = data.get_columns() if isinstance(data, pl.DataFrame) else [data]
    texts = sum(isinstance(column.dtype, pl.String) for column in columns)
    return int(data.estimated_size()) + texts * _VIEW_BYTES * len(data)


def computed(column: pl.Series, expression: pl.Expr) -> pl.Series:
    """An expression of `IT`, which is the column, evaluated in this thread. It works row by row."""
    return computed_all(column, expression)[0]


def computed_all(column: pl.Series, *expressions: pl.Expr) -> list[pl.Series]:
    """The same for several expressions.

    Polars has the inputs of an expression (a column and a pattern, say) evaluated by its own threads, unless it has no
    more threads than there are expressions: hence those that nobody wants. To wake a thread takes 100 us of CPU, and
    as long as others keep it from its core: more than most expressions over a few thousand rows.
    """
    frame = column.alias("it").to_frame().select_seq(*expressions, *_MORE[len(expressions) - 1 :])
    return frame.get_columns()[: len(expressions)]


def kept(frame: pl.DataFrame, mask: pl.Series) -> pl.DataFrame:
    """The rows of a mask without nulls, column by column in this thread: `filter` wakes others for any frame."""
    return pl.DataFrame([column.filter(mask) for column in frame.get_columns()])


def order_of(texts: pl.Series) -> NDArray[np.uint32]:
    """The places of the texts, none of them null, in the order of their code points."""
    if len(texts) > _FEW_TEXTS:
        return texts.arg_sort().to_numpy()
    return np.array(sorted(range(len(texts)), key=texts.to_list().__getitem__), np.uint32)


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
    return values, places_in(column, len(values) - 1).cast(pl.UInt32)


def places_in(column: pl.Series, of_null: int) -> pl.Series:
    """The places of an Enum's values, and this one for nulls."""
    places = column.to_physical()
    return computed(places.cast(pl.UInt32), IT.fill_null(of_null)) if places.null_count() else places


def where(mask: pl.Series, column: pl.Series) -> pl.Series:
    """The column, null in rows that the mask does not have."""
    return column.zip_with(mask, pl.Series([None], dtype=column.dtype))
