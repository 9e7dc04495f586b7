"""Texts of labels are told apart, sorted and grouped as the labels are."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from log_aggregator.engine.label_texts import escaped_column, grouped_texts, labels_of_text, text_of, texts_like
from log_aggregator.engine.vector import Groups
from log_aggregator.model.labels import Labels

NAMES = ("a", "ab", "b", "a_extracted")
values = st.text(st.sampled_from("ab\0\x01\x02é\U0001f600\ufffd"), max_size=4)
labels = st.dictionaries(st.sampled_from(NAMES), values).map(lambda pairs: tuple(sorted(pairs.items())))


@given(labels)
def test_a_text_is_read_back(one: Labels) -> None:
    assert labels_of_text(text_of(one)) == one


@given(st.lists(labels, unique=True))
def test_texts_sort_as_labels_do(some: list[Labels]) -> None:
    texts = pl.Series(list(map(text_of, some)), dtype=pl.String)
    assert list(map(labels_of_text, texts.sort())) == sorted(some)


@given(st.lists(labels), st.frozensets(st.sampled_from(NAMES)), st.booleans())
def test_texts_are_grouped_as_labels_are(some: list[Labels], names: frozenset[str], without: bool) -> None:
    texts = pl.Series(list(map(text_of, some)), dtype=pl.String)
    groups = Groups(names, without)
    found = grouped_texts(texts, sorted(names), without=without)
    assert list(map(labels_of_text, found)) == list(map(groups.key, some))


@given(st.lists(st.tuples(values, values), min_size=1), values)
def test_columns_give_the_texts_of_labels(rows: list[tuple[str, str]], fixed: str) -> None:
    columns = {key: escaped_column(pl.Series([row[number] for row in rows])) for number, key in enumerate("xy")}
    texts = texts_like((("a", "", "x"), ("ab", fixed, None), ("b", "", "y")), columns, len(rows))
    assert list(texts) == [text_of((("a", x), ("ab", fixed), ("b", y))) for x, y in rows]
