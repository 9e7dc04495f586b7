"""What columns take in memory, and what is made of them without Polars' threads."""

import resource
from collections.abc import Callable

import polars as pl
import pytest

from log_aggregator.model.columns import IT, bytes_in_memory, computed, computed_all, kept, order_of, told_apart

_CHARACTERS = "aé\U0001f600Z\uffff"  # the last but for surrogates, which UTF-16 would have before it


def test_short_texts_take_more_than_their_characters() -> None:
    assert bytes_in_memory(pl.Series(["a"] * 1000)) == 1000 + 16 * 1000


def test_numbers_take_what_they_are() -> None:
    assert (
        bytes_in_memory(pl.DataFrame({"time": pl.Series([1] * 1000, dtype=pl.Int64), "line": ["ab"] * 1000})) == 26_000
    )


def test_an_expression_of_a_column_is_computed() -> None:
    column = pl.Series("line", ["a=1", "b", None])
    assert computed(column, IT.str.contains("=", literal=True)).to_list() == [True, False, None]


@pytest.mark.parametrize("number", [1, 2, 3, 20])
def test_several_are_computed_in_order(number: int) -> None:
    column = pl.Series([1, 2, None])
    found = computed_all(column, *((IT * n).alias(f"{n}") for n in range(number)))
    assert [own.to_list() for own in found] == [[n, 2 * n, None] for n in range(number)]


def test_no_other_thread_is_waited_for() -> None:
    if pl.thread_pool_size() == 1:
        pytest.skip("there is no other")
    column = pl.Series(["level=info"] * 10)

    def waits(call: Callable[[], pl.Series]) -> int:
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
        for _ in range(100):
            call()
        return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - before

    ours, plain = IT.str.contains("info"), "info"
    assert waits(lambda: computed(column, ours)) < 50 < waits(lambda: column.str.contains(plain))


def test_rows_of_a_mask_are_kept() -> None:
    frame = pl.DataFrame({"a": [1, 2, 3], "b": ["x", None, "y"]})
    assert kept(frame, pl.Series([True, False, True])).equals(frame[[0, 2]])
    assert kept(frame, pl.Series([False] * 3)).equals(frame.clear())


@pytest.mark.parametrize("number", [0, 1, 7, 2000])
def test_texts_are_ordered_by_code_points(number: int) -> None:
    texts = pl.Series([f"{_CHARACTERS[n % 5]}{n * 7919 % 1000}" for n in range(number)], dtype=pl.String)
    assert texts[order_of(texts)].to_list() == sorted(texts.to_list())


def test_nulls_are_told_apart_from_texts() -> None:
    values, places = told_apart(pl.Series(["b", None, "a", "b"]))
    assert values[-1] is None
    assert values[places].to_list() == ["b", None, "a", "b"]
