"""The members that are found in columns of JSON are the fields that the json stage finds in each line."""

from collections.abc import Mapping, Sequence

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from json_documents import lines
from log_aggregator.engine.document_columns import Path, extracted_members, fields_of_documents
from log_aggregator.engine.entry_labels import Demand, EntryLabels
from log_aggregator.engine.fields import Fields
from log_aggregator.engine.json_paths import compile_json_paths
from log_aggregator.engine.json_stages import extract_json
from log_aggregator.logql.ast import Extraction

names = st.lists(st.sampled_from(("a", "b", "c", "a_b", "a_b_c", "b_c", "a_extracted")), max_size=3, unique=True)
# Where most lines are like this one, an expression reads them, else a decoder.
others = st.sampled_from((0, 100)).map(lambda count: ['{"x": 1}'] * count)
keys = st.lists(st.sampled_from(("a", "b", "c", "a_b")), min_size=1, max_size=3).map(tuple)
paths = st.builds(lambda keys, index: keys + index, keys, st.sampled_from(((), (), (0,), (1,))))


def written(path: Path) -> str:
    return ".".join(str(key) for key in path if isinstance(key, str)) + "".join(
        f"[{key}]" for key in path if isinstance(key, int)
    )


def known_rows(found: Fields) -> list[tuple[int, dict[str, str | None]]]:
    return [
        (row, {name: column[row] for name, column in found.values.items()})
        for row in (found.shape == 1).arg_true().to_list()
    ]


@settings(max_examples=300)
@given(st.lists(lines, max_size=8), others, names)
def test_fields_are_those_of_the_stage(own: list[str], others: list[str], wanted: Sequence[str]) -> None:
    own += others
    for row, values in known_rows(fields_of_documents(pl.Series(own, dtype=pl.String), wanted)):
        labels = EntryLabels(0, {}, {}, Demand())
        extract_json(own[row], labels)
        assert (labels.error, {name: labels.parsed.get(name) for name in wanted}) == ("", values)


@settings(max_examples=300)
@given(st.lists(lines, max_size=8), others, st.lists(paths, min_size=1, max_size=3))
def test_extractions_are_those_of_the_stage(own: list[str], others: list[str], wanted: Sequence[Path]) -> None:
    own += others
    label_of = {f"label{number}": path for number, path in enumerate(wanted)}
    stage = compile_json_paths([Extraction(label, written(path)) for label, path in label_of.items()])
    for row, values in known_rows(extracted_members(pl.Series(own, dtype=pl.String), label_of)):
        labels = EntryLabels(0, {}, {}, Demand())
        stage(own[row], labels)
        assert (labels.error, labels.parsed) == ("", {label: value or "" for label, value in values.items()})


OBJECT_IN_ARRAY = '{"a": 1, "b": "x y", "c": {"d": [1, {"e": 2}]}}'
KNOWN = (
    (OBJECT_IN_ARRAY, "a b c"),
    ('{"b": "x", "a": -1.50}', "a b"),
    ('{"b": null, "a": true}', "a b"),
    ('{"b": "\\"quoted\\"", "z": ["a b"]}', "a b"),
    ('{"b": "\\u00e9", "a": {"c": {"c": {"c": []}}}}', "a b"),
    ('{"a.c": 1, "a_b": 2, "b": {"a": 1}}', "a_b"),
    ("{}", "a"),
)
UNKNOWN = (
    (OBJECT_IN_ARRAY, "_a"),
    ('{"a": 1, "c": {"a": 2}}', "a"),
    ('{"b": "a", "a": "a"}', "a"),
    ('{"a ": 1}', "a"),
    ('{"\u2003a": 1}', "a"),
    ('{"a\\t": 1}', "a"),
    ('{"": {"a": 1}}', "a"),
    ('{"\\u0061": 1}', "a"),
    ('{"a": "\\ud800"}', "a"),
    ('{"a": "\ufffd"}', "a"),
    ('{"a": 1, "a_extracted": 2}', "a"),
    ('{"a.b": 1}', "a_b"),
    ('{"a_b": 1, "a b": 2}', "a_b"),
    ('{"a": {"b": 1}}', "a_b"),
    (r'{"a\"b": 1}', "a_b"),
    (r'{"a\"b": 1, "a_b": 2}', "a_b"),
    (r'{"a\"b": {"c": 1}}', "a_b_c"),
    ('{"a ": {"b": 1}, "a_b": 2}', "a_b"),
    ('{"a": 1}}', "a"),
    ('{"a": tru}', "a"),
    ("text", "a"),
)


@pytest.mark.parametrize(("line", "wanted"), KNOWN)
def test_lines_that_are_known(line: str, wanted: str) -> None:
    assert fields_of_documents(pl.Series([line]), wanted.split()).shape.to_list() == [1]


@pytest.mark.parametrize(("line", "wanted"), UNKNOWN)
def test_lines_that_are_not_known(line: str, wanted: str) -> None:
    assert fields_of_documents(pl.Series([line]), wanted.split()).shape.to_list() == [0]


def test_values_are_as_labels_have_them() -> None:
    line = pl.Series(['{"b": "\\"x\\"\\n", "a": -1.50, "c": null, "d": [1], "e": {"f": 1}, "g": "null", "h": false}'])
    found = fields_of_documents(line, list("abcdegh"))
    texts = {name: column.to_list() for name, column in found.values.items()}
    assert texts == {
        "a": ["-1.50"],
        "b": ['"x"\n'],
        "c": [None],
        "d": [None],
        "e": [None],
        "g": ["null"],
        "h": ["false"],
    }


EXTRACTED = (
    ('{"a": {"b": "x"}, "c": 1}', (("a", "b"), ("c",)), {"0": "x", "1": "1"}),
    ('{"c": {"d": {"b": null}}, "x": [{}]}', (("a", "b"), ("c", "d", "b")), {"0": None, "1": None}),
    ('{"a.b": 1}', (("a", "b"),), {"0": None}),
    (
        '{"a": ["x", 2], "b": {"c": []}}',
        (("a", 0), ("a", 1), ("a", 2), ("b", "c", 0)),
        {"0": "x", "1": "2", "2": None, "3": None},
    ),
    ('{"a": [{}, [], "x"]}', (("a", 2), ("a", 3)), {"0": "x", "1": None}),
    ('{"a": [{}, [], "x"]}', (("a", 0),), None),
    ('{"a": {"b": 1}}', (("a", 0),), None),
    ('{"a": "b"}', (("a", 0),), None),
    ('{"a": ["x"]}', (("a", 1000),), None),
    ('{"a": {"b": 1}}', (("a",),), None),
    ('{"a": [1]}', (("a",),), None),
    ('{"a": [{"b": 1}]}', (("a", "b"),), None),
    ('{"a": "b"}', (("a", "b"),), None),
    ('{"a": {"b": 1}}', (("a",), ("a", "b")), None),
    ('{"a": {"b": 1, "a": 2}}', (("a", "b"),), None),
    ('{"\\u0061": 1}', (("a",),), None),
    (' {"a": 1}', (("a",),), None),
    ('{"a": 1}', ((r"a\b",),), None),
    ('{"a": 1}', (("a\tb",),), None),
    ('{"a": 1}', (("a",) * 1200,), None),
)


@pytest.mark.parametrize(("line", "wanted", "values"), EXTRACTED)
def test_extracted_members(line: str, wanted: Sequence[Path], values: Mapping[str, str | None] | None) -> None:
    rows = known_rows(extracted_members(pl.Series([line]), {str(number): path for number, path in enumerate(wanted)}))
    assert rows == ([] if values is None else [(0, values)])
