import polars as pl

from log_aggregator.model.columns import bytes_in_memory


def test_short_texts_take_more_than_their_characters() -> None:
    assert bytes_in_memory(pl.Series(["a"] * 1000)) == 1000 + 16 * 1000


def test_numbers_take_what_they_are() -> None:
    assert (
        bytes_in_memory(pl.DataFrame({"time": pl.Series([1] * 1000, dtype=pl.Int64), "line": ["ab"] * 1000})) == 26_000
    )
