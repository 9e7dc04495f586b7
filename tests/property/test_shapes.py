"""A line that has a shape has exactly the labels that its stage extracts."""

from collections.abc import Mapping

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from log_aggregator.engine.field_columns import choose_fields, field_columns
from log_aggregator.engine.fields import extract
from log_aggregator.engine.irregular_lines import with_irregular_lines
from log_aggregator.engine.pipeline import compile_pipeline
from log_aggregator.engine.shapes import (
    IRREGULAR_JSON,
    IRREGULAR_LOGFMT,
    TEXT,
    TEXT_WITH_PAIRS,
    Parser,
    Shape,
    compiled,
    discover,
    json_shape,
    logfmt_shape,
)
from log_aggregator.engine.skeletons import fields_by_skeleton
from log_aggregator.logql.ast import JsonStage, LogfmtStage
from log_aggregator.model.labels import Labels

STAGES = {
    "json": (JsonStage(),),
    "logfmt": (LogfmtStage(), LogfmtStage(strict=True), LogfmtStage(keep_empty=True), LogfmtStage((), True, True)),
}
MAKERS = {"json": json_shape, "logfmt": logfmt_shape}

JSON_KEYS = (
    "a",
    "b",
    "a_b",
    " a",
    "a ",
    "\u00a0b",
    "é",
    "1",
    "a.b",
    "a-b",
    "_",
    "",
    "a_extracted",
    "__error__",
    "k" * 600,
)
JSON_SCALARS = (
    *('""', '"x"', '"é 1"', '"\u2028"', '"\x7f"', '"\ufffd"', r'"\n"', r'"\u0041"', '"\t"', '"a,b:{}[]"'),
    *("0", "-1", "01", "1.50", "1.", "-", "+1", "1e3", "1E-3", "true", "false", "null", "True", "NaN"),
    *("[]", "[ ]", "[1,2]", '["a", "b" ]', '["]"]', '[{"a":1}]', "[[1]]", "[1", "{}", "{ }"),
)
JSON_SPACES = ("", "", "", " ", "\t", "  ", "\n")
spaces = st.sampled_from(JSON_SPACES)


def json_object(members: list[tuple[str, str, str, str, str]], end: str) -> str:
    texts = [f'{a}"{key}"{b}:{c}{value}' for a, key, b, c, value in members]
    return "{" + ",".join(texts) + end + "}"


json_lines = st.recursive(
    st.sampled_from(JSON_SCALARS),
    lambda inner: st.builds(
        json_object, st.lists(st.tuples(spaces, st.sampled_from(JSON_KEYS), spaces, spaces, inner), max_size=4), spaces
    ),
    max_leaves=8,
)
LOGFMT_KEYS = ("a", "b", "a_b", "a.b", "a-b", "é", "1", "_", "a_extracted", "__error__", "-a", "A", "k" * 1200)
LOGFMT_VALUES = (
    *("1", "x", "é", "a\\b", "{}", ",", "'", "\x7f", "\u00a0", "\u2028", "\ufffd", "", "x\ty", "a=b", '""', '"x y"'),
    *('"x', '"x"y', r'"\""', r'"\u0041"', '"\n"', '"=\ufffd"', '"é"'),
)
logfmt_pairs = st.sampled_from(LOGFMT_KEYS) | st.builds(
    "{}={}".format, st.sampled_from(LOGFMT_KEYS), st.sampled_from(LOGFMT_VALUES)
)
logfmt_lines = st.lists(st.tuples(logfmt_pairs, st.sampled_from((" ", " ", "  ", "\t", ""))), max_size=5).map(
    lambda pairs: "".join(pair + space for pair, space in pairs)
)
lines = {"json": json_lines, "logfmt": logfmt_lines}
STREAMS: tuple[Labels, ...] = ((), (("a", "taken"), ("b", "taken")))


def labels_of(stage: JsonStage | LogfmtStage, line: str, stream: Labels) -> Mapping[str, str]:
    row = compile_pipeline((stage,)).process(0, line, stream, {})
    assert row is not None
    return row.parsed


def renamed(name: str, stream: Labels) -> str:
    return f"{name}_extracted" if name in dict(stream) else name


@pytest.mark.parametrize("parser", ["json", "logfmt"])
@given(data=st.data())
@settings(max_examples=300)
def test_values_of_a_shape_are_labels(parser: Parser, data: st.DataObject) -> None:
    model, line = data.draw(lines[parser]), data.draw(lines[parser])
    shape = MAKERS[parser](model)
    if shape is None:
        return
    assert compiled(shape).fullmatch(model)
    for text in (model, line):
        found = compiled(shape).fullmatch(text)
        if found is None:
            continue
        assert text.startswith(shape.prefix)
        for stage in STAGES[parser]:
            for stream in STREAMS:
                values = {renamed(name, stream): value for name, value in zip(shape.names, found.groups(), strict=True)}
                assert labels_of(stage, text, stream) == values


@pytest.mark.parametrize("parser", ["json", "logfmt"])
@given(data=st.data())
def test_columns_have_what_single_lines_have(parser: Parser, data: st.DataObject) -> None:
    texts = data.draw(st.lists(lines[parser], min_size=1, max_size=20))
    shapes = [shape for _, shape in discover(texts, parser)]
    names = sorted({name for shape in shapes for name in shape.names})
    wanted = data.draw(st.lists(st.sampled_from(names), unique=True)) if names else []
    found = extract(pl.Series(texts), shapes, wanted)
    for row, text in enumerate(texts):
        matching = [number for number, shape in enumerate(shapes, 1) if compiled(shape).fullmatch(text)]
        assert len(matching) <= 1
        assert found.shape[row] == (matching[0] if matching else 0)
        values = {name: found.values[name][row] for name in wanted}
        expected = labels_of(STAGES[parser][0], text, ()) if matching else {}
        assert values == {name: expected.get(name) for name in wanted}


REGULAR = ('{"a":"x","b":1}', "a=x b=1")
# Most are read one by one or not at all; these are like the regular ones.
ESCAPED = st.sampled_from(
    (
        *(
            rf'{{"a":"{text}","b":2}}'
            for text in (r"\n", r"\"b\":7", r"\u0041", r"\ud800", r"\ufffd", r"\x", r"\u00g0", r"\\")
        ),
        *(rf'a="{text}" b=2' for text in (r"\n", r"\"b=7", r"\u0041", r"\ud800", r"\ufffd", r"\'", r"\x", r"\\")),
    )
)
TEXTS = st.sampled_from(("", "at main.py", "a = b", "[a=b]", " {", "\ufffd", "=", "x", '"a"'))
MARKED: dict[int, tuple[Parser, ...]] = {
    0: (),
    1: ("json",),
    2: ("logfmt",),
    IRREGULAR_JSON: ("json",),
    IRREGULAR_LOGFMT: ("logfmt",),
    TEXT: ("json", "logfmt"),
    TEXT_WITH_PAIRS: ("json",),
}


def shapes_of_regular() -> list[Shape]:
    return [shape for parser in ("json", "logfmt") for _, shape in discover(REGULAR, parser)]


@given(texts=st.lists(json_lines | logfmt_lines | ESCAPED | TEXTS, min_size=1, max_size=20))
@settings(max_examples=300)
def test_what_is_known_of_irregular_lines_is_what_their_stage_finds(texts: list[str]) -> None:
    texts = [*REGULAR, *texts]
    shapes = shapes_of_regular()
    lines = pl.Series(texts)
    found = with_irregular_lines(lines, extract(lines, shapes, ["a", "b"]), shapes)
    for row, (text, number) in enumerate(zip(texts, found.shape, strict=True)):
        values = {name: found.values[name][row] for name in ("a", "b")}
        if number in (0, TEXT, TEXT_WITH_PAIRS):
            assert values == {"a": None, "b": None}
        for parser in MARKED[number]:
            stage = STAGES[parser][0]
            labels = labels_of(stage, text, ())
            assert values == {name: labels.get(name) for name in ("a", "b")}
            taken = {renamed(name, STREAMS[1]): value for name, value in values.items() if value is not None}
            assert taken.items() <= labels_of(stage, text, STREAMS[1]).items()


@pytest.mark.parametrize("parser", ["json", "logfmt"])
@given(data=st.data())
@settings(max_examples=300)
def test_what_skeletons_tell_is_what_their_stage_finds(parser: Parser, data: st.DataObject) -> None:
    texts = data.draw(st.lists(lines[parser] | ESCAPED | TEXTS, min_size=1, max_size=20))
    found = fields_by_skeleton(pl.Series(texts), parser, ["a", "b", "a_b"])
    for row, text in enumerate(texts):
        values = {name: column[row] for name, column in found.values.items()}
        if found.shape[row]:
            labels = labels_of(STAGES[parser][0], text, ())
            assert values.keys() == {"a", "b", "a_b"}
            for name, value in values.items():
                assert value == labels.get(name) or "\\" in value
        else:
            assert set(values.values()) == {None}


TOKENS = (
    *(
        "{",
        "}",
        '"',
        ":",
        ",",
        "[",
        "]",
        " ",
        "\n",
        "1",
        ".0",
        "e5",
        "true",
        "null",
        '"x"',
        '"a":',
        '"b":',
        '"a":1',
        ',"b":"y"',
    ),
    *('"b:[1]"', ":[1]", '"":', '"a,":', '":":', '{"n":{', "}}", "=", "a=1", ' b="y"', "\\"),
)


@pytest.mark.parametrize("parser", ["json", "logfmt"])
@given(tokens=st.lists(st.sampled_from(TOKENS), min_size=1, max_size=9))
@settings(max_examples=500)
def test_what_is_not_well_formed_has_no_skeleton(parser: Parser, tokens: list[str]) -> None:
    text = "".join(tokens) if parser == "logfmt" else '{"q":1' + "".join(tokens) + "}"
    found = fields_by_skeleton(pl.Series([text]), parser, ["a", "b", "b__1_"])
    row = compile_pipeline((STAGES[parser][0],)).process(0, text, (), {})
    assert row is not None
    labels = dict(row.labels())
    assert not found.shape[0] or "__error__" not in labels
    for name, column in found.values.items():
        assert not found.shape[0] or column[0] == labels.get(name)


@pytest.mark.parametrize("line", ['{"a":' * 600 + "1" + "}" * 600, '{"":' * 20_000 + "1" + "}" * 20_000, "[" * 100_000])
def test_lines_that_are_too_deep_are_left_to_the_stage(line: str) -> None:
    lines = pl.Series([*['{"a":"x"}'] * 5, line])
    choice = choose_fields(lines)
    found = field_columns(lines, choice)
    assert found is not None
    assert found.shape.to_list()[:5] == [1] * 5
    assert found.values["a"].to_list() == [*["x"] * 5, None]


def test_skeletons_with_many_spellings_of_a_key_or_of_great_length_are_not_known() -> None:
    spellings = [f'{{"a{chr(0x4E00 + number)}":1}}' for number in range(40)]
    assert fields_by_skeleton(pl.Series(spellings), "json", ["a_"]).shape.to_list() == [0] * 40
    assert fields_by_skeleton(pl.Series(spellings[:9]), "json", ["a_"]).values["a_"].to_list() == ["1"] * 9
    long = '{"a":1,' + ",".join(f'"b{number}":1' for number in range(999)) + "}"
    assert fields_by_skeleton(pl.Series([long]), "json", ["a"]).shape.to_list() == [0]


SKELETONS: dict[Parser, dict[str, dict[str, str] | None]] = {
    "json": {
        '{"b":"x, \\"a\\":1" , "a" : -1.5e3, "n":null, "l":[1, "a"]}': {"a": "-1.5e3", "b": 'x, \\"a\\":1'},
        '{"a": {"b": true}, "b": ""}': None,  # b stands twice
        '{"a": {"c": 1}, "a_c": 2}': None,
        '{"a:1":2}': None,
        '{"a":"\\x00"}'.replace("\\x00", "\0"): None,
        '{"l":[{"a":1}]}': None,
        '{"l":[1 2]}': None,
        '{"a":01}': {"a": "01"},
        '{"l":["a:1"],"a":1}': None,
        '{"a":1}}': None,
        '{"a":"x".0}': None,
        '{"a":truee5}': None,
        '{"a":1,"b:[1]":2}': None,
        '{"a":1,"b:["y"]":5}': None,
        '{"n":{"q":"a",":":5},\n",":6}': None,
        '{"a\\"b":1}': None,
        '{"a":1,"a_extracted":2}': None,
        "[]": None,
        '{"o":{},"a":2}': {"a": "2"},
    },
    "logfmt": {
        "a=1 lonely b= c=": {"a": "1"},
        'c="a=2 b" a=1': {"a": "1"},
        'a="x y" b=1': None,  # is in quotes
        "a= a=1": None,
        "a=1b=2 =3": None,
        "a=1 a.b=1 a_b=2": None,
        " a=1": None,
        'a=x"y"': None,
    },
}


@pytest.mark.parametrize(
    ("parser", "text", "expected"),
    [(parser, text, expected) for parser, cases in SKELETONS.items() for text, expected in cases.items()],
)
def test_of_well_formed_lines_skeletons_tell_the_fields(
    parser: Parser, text: str, expected: dict[str, str] | None
) -> None:
    found = fields_by_skeleton(pl.Series([text]), parser, ["a", "b"])
    assert found.shape[0] == (expected is not None)
    assert {name: column[0] for name, column in found.values.items() if column[0] is not None} == (expected or {})


def test_most_irregular_lines_are_known() -> None:
    texts = [
        *REGULAR,
        r'{"a":"\n","b":1}',
        '{"c":[{}],"b":2}',
        r'a="\"" b=1',
        "b=1 lonely c=",
        "text",
        "x = y b=2",
        "a=1 a=2",
        "{",
        '{"a":1,"a":2}',
    ]
    shapes = shapes_of_regular()
    lines = pl.Series(texts)
    found = with_irregular_lines(lines, extract(lines, shapes, ["a", "b"]), shapes)
    known = [1, 2, *[IRREGULAR_JSON] * 2, *[IRREGULAR_LOGFMT] * 2, TEXT, IRREGULAR_LOGFMT, TEXT_WITH_PAIRS, 0, 0]
    assert found.shape.to_list() == known
    assert found.values["a"].to_list() == ["x", "x", "\n", None, '"', None, None, None, None, None, None]
    assert found.values["b"].to_list() == ["1", "1", "1", "2", "1", "1", None, "2", None, None, None]


def test_of_many_irregular_lines_only_those_are_read_that_begin_like_the_others() -> None:
    lines = pl.Series([*REGULAR, *["b=1 lonely"] * 10, *["see x = y"] * 100])
    shapes = shapes_of_regular()
    found = with_irregular_lines(lines, extract(lines, shapes, ["b"]), shapes)
    assert found.shape.to_list() == [1, 2, *[IRREGULAR_LOGFMT] * 10, *[TEXT_WITH_PAIRS] * 100]
