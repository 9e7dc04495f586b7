"""Texts of columns."""

import json

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from log_aggregator.engine.fields import extract_escaped, unescaped_json
from log_aggregator.engine.json_scan import label_text
from log_aggregator.engine.shapes import json_shape

characters = st.text(st.sampled_from('ab"\\/\n\t\x00\x7fé\u2028😀'), max_size=6)
escapes = st.sampled_from(("", r"\u0041", r"\ufffd", r"\uFFFD", r"\ud800", r"\uD83D\ude00", r"\\ud8", r"\/", r"\b"))
raw_texts = st.builds(
    lambda text, end, is_ascii: json.dumps(text, ensure_ascii=is_ascii)[1:-1] + end, characters, escapes, st.booleans()
)


@given(st.lists(raw_texts | st.none(), max_size=8))
def test_texts_lose_their_escapes_as_labels_do(texts: list[str | None]) -> None:
    found = unescaped_json(pl.Series(texts, dtype=pl.String))
    assert found.to_list() == [None if text is None else label_text(text) for text in texts]


def test_lines_with_escapes_are_of_the_shape_of_others() -> None:
    shape = json_shape('{"log": "x", "n": 1}')
    assert shape is not None
    lines = pl.Series(
        [r'{"log": "{\"a\": 1}\n", "n": 2}', r'{"log": "\x", "n": 2}', '{"n": 1}', '{"log": "y", "n": 3}']
    )
    found = extract_escaped(lines, "json", [shape], ["log", "other"])
    assert found.shape.to_list() == [1, 0, 0, 1]
    assert found.values["log"].to_list() == ['{"a": 1}\n', None, None, "y"]
    assert found.values["other"].null_count() == 4
