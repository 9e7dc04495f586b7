"""The forms in which columns of texts are kept for queries (`engine.batch.Form`)."""

import polars as pl

from log_aggregator.engine.batch import Form
from log_aggregator.engine.label_columns import PLAIN_NUMBER

_MAX_CODES = 4096


def formed(column: pl.Series, form: Form) -> pl.Series:
    """The column in the form, or as it is where its values do not allow that."""
    coded = _coded(column)
    if form == "codes" or isinstance(coded.dtype, pl.Enum):
        return coded
    return _numbers(column)


def _coded(column: pl.Series) -> pl.Series:
    """`pl.Enum` if few values are distinct: smaller, and grouped without a look at text."""
    values = column.unique().drop_nulls()
    if len(values) > min(_MAX_CODES, len(column) // 4 + 1):
        return column
    return column.cast(pl.Enum(values))


def _numbers(column: pl.Series) -> pl.Series:
    """Floats if every value is a plain number."""
    plain = column.str.contains(PLAIN_NUMBER).all()
    return column.cast(pl.Float64) if plain else column
