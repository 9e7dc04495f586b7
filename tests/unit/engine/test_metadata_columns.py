"""Members of structured metadata as columns."""

import polars as pl
import pytest

from log_aggregator.engine.metadata_columns import mentions, values_of

TEXTS = ["", '{"detected_level":"info"}', '{"a":"1","detected_level":"a\\":"}']


@pytest.mark.parametrize("dtype", [pl.String, pl.Enum(TEXTS)])
def test_labels_are_mentioned_where_a_row_has_them(dtype: pl.DataType) -> None:
    all_rows, two, none = pl.Series(TEXTS, dtype=dtype), pl.Series(TEXTS[:2], dtype=dtype), pl.Series([], dtype=dtype)
    assert mentions(all_rows, "a")
    assert mentions(two, "detected_level")
    assert not mentions(two, "a")
    assert not mentions(none, "a")
    assert not mentions(all_rows, "info")
    assert mentions(pl.concat([all_rows, pl.Series([None], dtype=dtype)]), "a")


def test_values_that_are_written_with_escapes_are_not_known() -> None:
    assert values_of(pl.Series(TEXTS), "detected_level") is None
    found = values_of(pl.Series(TEXTS), "a")
    assert found is not None
    assert found.to_list() == [None, None, "1"]
