"""What parsers find in columns of lines, and which columns that takes."""

from collections.abc import Sequence

import polars as pl
import pytest

from log_aggregator.engine import hard_lines
from log_aggregator.engine.entry_labels import Demand
from log_aggregator.engine.field_columns import choose_fields, field_columns
from log_aggregator.engine.label_reader import KIND, LinesNeeded
from log_aggregator.engine.outlines import outline_line, outline_parser
from log_aggregator.engine.parsers import ParserStage
from log_aggregator.engine.pattern_columns import pattern_columns
from log_aggregator.engine.pipeline import compile_pipeline
from log_aggregator.engine.readers import has_columns, reader_of
from log_aggregator.engine.shapes import (
    IRREGULAR_JSON,
    IRREGULAR_LOGFMT,
    TEXT,
    TEXT_WITH_PAIRS,
    Shape,
    json_shape,
    logfmt_shape,
)
from log_aggregator.formats.chunk import FIELD_PREFIX, SHAPE
from log_aggregator.logql.ast import LogExpr
from log_aggregator.logql.parser import parse_expr
from log_aggregator.model.segment import LINE

A, LEVEL = FIELD_PREFIX + "a", FIELD_PREFIX + "level"


@pytest.fixture(autouse=True)
def few_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hard_lines, "FEWEST_LINES_OF_TEXT", 0)


def parsers_of(text: str) -> list[ParserStage]:
    expr = parse_expr(f'{{app="a"}} {text}')
    assert isinstance(expr, LogExpr)
    return [stage for stage in expr.stages if isinstance(stage, ParserStage)]


def shapes_of(*lines: str) -> list[Shape]:
    shapes = [json_shape(line) or logfmt_shape(line) for line in lines]
    return [shape for shape in shapes if shape is not None]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("| json", True),
        ("| json x=`a.b`, y=`c`", True),
        ("| json x=`a`, y=`a`", True),
        ("| json x=`a[0]`", True),
        ("| json x=`a[0].b`", False),
        ("| json x=`[0]`", False),
        ("| json x_extracted=`a`", False),
        ("| logfmt --strict x=`a`, y=`c`", True),
        ("| logfmt x=`a`, y=`a`", False),
        ("| pattern `<a> <_>`", True),
        ("| pattern `<a> <a_extracted>`", False),
        ("| pattern `<__error__> <a>`", False),
        ("| regexp `(?P<a>.)`", True),
        (r"| regexp `(?P<a>\pL)`", False),
        ("| json | logfmt", True),
        ("| logfmt --strict | json", True),
        ("| json | json", False),
        ("| json x=`a` | logfmt", False),
        ("| json | pattern `<a> <_>`", False),
        ("| json | logfmt | json", False),
    ],
)
def test_parsers_that_have_columns(text: str, expected: bool) -> None:
    assert has_columns(parsers_of(text)) is expected


@pytest.mark.parametrize(
    ("text", "names", "wanted"),
    [
        ("", ("a",), set()),
        ("| json", (), {SHAPE}),
        ("| json", ("a",), {SHAPE, A}),
        ("| json", ("a", "b"), {SHAPE, A, LINE}),
        ("| json", ("no",), {SHAPE}),
        ("| json", ("level",), {SHAPE, LEVEL}),
        ("| json x=`a`", ("a", "x"), {SHAPE, A}),
        ("| logfmt", ("b",), {SHAPE}),
        ("| json | logfmt", ("a",), {SHAPE, A, LINE}),
        ("| pattern `<a> <_>`", ("a",), {LINE}),
        ("| regexp `(?P<a>.)`", (), {LINE}),
    ],
)
def test_lines_are_wanted_where_no_column_tells(text: str, names: Sequence[str], wanted: set[str]) -> None:
    shapes = shapes_of('{"a":"x","b":1}', "level=x n=1")
    assert reader_of(parsers_of(text)).columns({SHAPE, LINE, A, LEVEL}, shapes, names) == wanted


def test_a_record_has_no_column_but_lines() -> None:
    assert reader_of(parsers_of("| json")).columns({LINE}, None, ("a",)) == {LINE}


MIXED = ('{"a":"x"}', "a=1", "text", '{"a":[{}]}', '{"a":"="}', "a=")
READ = (
    ("| json", [True] * 6, ["x", None, None, None, "=", None]),
    ("| logfmt", [True] * 6, [None, "1", None, None, None, None]),
    ("| logfmt --strict", [False, True, True, False, False, True], [None, "1", None, None, None, None]),
    ("| json | logfmt", [True, True, True, False, True, True], ["x", "1", None, None, "=", None]),
    ("| json a=`a`", [True, False, False, False, True, False], ["x", None, None, None, "=", None]),
)


@pytest.mark.parametrize(("text", "easy", "values"), READ)
def test_lines_are_easy_whose_labels_are_sure(text: str, easy: list[bool], values: list[str | None]) -> None:
    parsed = reader_of(parsers_of(text)).read(pl.DataFrame({LINE: MIXED}), None, ["a"])
    assert parsed.easy is not None
    assert parsed.easy.to_list() == easy
    assert parsed.values["a"].filter(parsed.easy).to_list() == pl.Series(values).filter(parsed.easy).to_list()


ESCAPED = (r'{"a":"{\"a\": 1}\n","b":"x"}', r'{"a":"\u00e9","b":"x"}', r'{"a":"\ud800","b":""}', r'{"a":"\x","b":""}')


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("| json", ['{"a": 1}\n', "é", "", None]),
        ("| json a=`a`", ['{"a": 1}\n', "é", None, None]),
        ("| json a=`b`", ["x", "x", None, None]),
    ],
)
def test_lines_with_escapes_are_read_by_the_shapes_of_others(text: str, values: list[str | None]) -> None:
    parsed = reader_of(parsers_of(text)).read(pl.DataFrame({LINE: ESCAPED}), None, ["a"])
    assert parsed.easy is not None
    assert parsed.values["a"].to_list() == values
    assert parsed.easy.to_list() == [value is not None for value in values]


def test_each_easy_line_is_of_a_kind() -> None:
    lines = pl.DataFrame({LINE: MIXED[:3]})
    assert reader_of(parsers_of("| json")).read(lines[:1], None, ["a"]).kinds is None
    for text, kinds in (
        ("| json", ["json", "nothing", "nothing"]),
        ("| logfmt", ["nothing", "logfmt", "nothing"]),
        ("| logfmt | json", ["json", "logfmt", "nothing"]),
    ):
        parsed = reader_of(parsers_of(text)).read(lines, None, ["a"])
        assert parsed.kinds is not None
        assert parsed.kinds.to_list() == kinds


def test_stored_fields_are_read_without_lines() -> None:
    frame = pl.DataFrame({SHAPE: [1, 1], A: ["x", "y"]}, schema_overrides={SHAPE: pl.UInt16})
    shapes = shapes_of('{"a":"x","b":1}')
    parsed = reader_of(parsers_of("| json")).read(frame, shapes, ["a", "no"])
    assert (parsed.easy, parsed.kinds) == (None, None)
    assert {name: column.to_list() for name, column in parsed.values.items()} == {"a": ["x", "y"], "no": [None, None]}
    with pytest.raises(LinesNeeded):
        reader_of(parsers_of("| json")).read(frame, shapes, ["b"])


@pytest.mark.parametrize(
    ("text", "easy"),
    [
        ("| json", [True, True, False]),
        ("| logfmt --strict", [False, True, False]),
        ("| json | logfmt", [False, True, False]),  # text of JSON may have pairs in it
        ("| json x=`a`", [True, False, False]),
    ],
)
def test_lines_that_shapes_do_not_tell_are_not_easy_without_their_text(text: str, easy: list[bool]) -> None:
    frame = pl.DataFrame({SHAPE: [1, 2, 0]}, schema_overrides={SHAPE: pl.UInt16})
    parsed = reader_of(parsers_of(text)).read(frame, shapes_of('{"a":"x"}', "b=1"), [])
    assert parsed.easy is not None
    assert parsed.easy.to_list() == easy


@pytest.mark.parametrize(
    ("text", "names", "easy"),
    [
        ("| json", ["a"], [True, True, True, True, False]),
        ("| json", ["a", "b"], [False, True, True, True, False]),  # of b nothing is known
        ("| json x=`a`", ["x"], [False] * 5),
        ("| logfmt", ["a"], [False, True, True, False, False]),  # JSON may have pairs in it
        ("| logfmt", ["b"], [False, False, True, False, False]),
        ("| logfmt --strict", ["a"], [False] * 5),
        ("| logfmt --keep-empty", ["a"], [False] * 5),
        ("| logfmt x=`a`", ["x"], [False, False, True, False, False]),
        ("| json | logfmt", ["a"], [False, True, True, False, False]),
    ],
)
def test_what_is_known_of_lines_without_a_shape(text: str, names: Sequence[str], easy: list[bool]) -> None:
    numbers = [IRREGULAR_JSON, IRREGULAR_LOGFMT, TEXT, TEXT_WITH_PAIRS, 0]
    frame = pl.DataFrame({SHAPE: numbers, A: ["x", "y", None, None, None]}, schema_overrides={SHAPE: pl.UInt16})
    parsed = reader_of(parsers_of(text)).read(frame, shapes_of('{"a":"x"}', "a=1"), names)
    assert parsed.easy is not None
    assert parsed.easy.to_list() == easy
    assert parsed.names is None


@pytest.mark.parametrize("shapes", [None, shapes_of("level=info")])
def test_pairs_among_words_are_read_where_the_line_is_there(shapes: Sequence[Shape] | None) -> None:
    lines = ['main.go:7] "It began" a="x y" n=3', "level=info", "no pairs", 'main.go:9] "It ended" n=4', 'a="open']
    frame = pl.DataFrame({LINE: lines}).with_columns(
        pl.Series(SHAPE, [TEXT_WITH_PAIRS, 1, TEXT, TEXT_WITH_PAIRS, TEXT_WITH_PAIRS], dtype=pl.UInt16)
    )
    names = ["a", "n", "level"]
    parsed = reader_of(parsers_of("| logfmt")).read(frame, shapes, names)
    assert parsed.easy is not None
    assert parsed.kinds is not None
    assert parsed.easy.to_list() == [True, True, True, True, False]
    assert parsed.kinds.to_list()[:4] == ["logfmt", "logfmt", "nothing", "logfmt"]
    found = [{name: parsed.values[name][row] for name in names} for row in range(4)]
    assert found[0] == {"a": "x y", "n": "3", "level": None}
    assert found[1] == {"a": None, "n": None, "level": "info"}
    assert found[2] == {"a": None, "n": None, "level": None}
    assert found[3] == {"a": None, "n": "4", "level": None}
    assert parsed.names is None
    of_one = reader_of(parsers_of("| logfmt n")).read(frame, shapes, ["n"])
    assert of_one.easy is not None
    assert of_one.easy.all()
    assert of_one.values["n"].to_list() == ["3", None, None, "4", None]
    of_two = reader_of(parsers_of("| logfmt n, a"), Demand(frozenset("an"))).read(frame, shapes, ["a", "n"])
    assert of_two.easy is not None
    assert of_two.easy.to_list() == [True, True, True, True, False]
    assert [of_two.values[name].to_list()[:4] for name in ("a", "n")] == [["x y", *[None] * 3], [*[None] * 3, "4"]]
    of_both = reader_of(parsers_of("| json | logfmt")).read(frame, shapes, names)
    assert of_both.easy is not None
    assert of_both.easy.to_list() == [True, True, True, True, False]
    for text, is_easy in (("| logfmt --strict", False), ("| logfmt --keep-empty", True), ("| logfmt made=`a`", True)):
        read = reader_of(parsers_of(text)).read(frame, shapes, names)
        assert read.easy is not None
        assert read.easy[0] == is_easy


def test_many_or_long_names_are_not_looked_for_among_words() -> None:
    frame = pl.DataFrame({LINE: ["It began n0=1", "It ended"]})
    few, many = [f"n{number}" for number in range(6)], [f"n{number}" for number in range(7)]
    for names, is_easy in ((few, True), (many, False), (["n" * 40_000, "n0"], False)):
        parsed = reader_of(parsers_of("| logfmt")).read(frame, None, names)
        assert parsed.easy is not None
        assert parsed.easy[0] == is_easy


@pytest.mark.parametrize(("text", "easy"), [("| logfmt", [True, True]), ("| logfmt --strict", [False, False])])
def test_a_stored_shape_of_json_has_nothing_for_logfmt_unless_it_must_be_pairs(text: str, easy: list[bool]) -> None:
    lines = ['{"a":"x"}', '{"a":"b a=c"}']
    frame = pl.DataFrame({SHAPE: [1, 1], LINE: lines}, schema_overrides={SHAPE: pl.UInt16})
    parsed = reader_of(parsers_of(text)).read(frame, shapes_of(lines[0]), ["a"])
    assert parsed.easy is not None
    assert parsed.easy.to_list() == easy


@pytest.mark.parametrize(
    ("pair", "has_it"),
    [
        ("b=1", False),
        ("a_1=1", True),
        ("a.1=1", True),
        ("a\u00e91=1", True),
        ("a_1\u00a0=1", True),  # space at the ends of a key is no part of the name
        ("b_a_1=1", True),  # or so it seems: to tell it from the name takes a closer look
        ("a_1 =1", False),
        ("a_2=1", False),
    ],
)
def test_pairs_of_other_names_do_not_matter_in_text_of_json(pair: str, has_it: bool) -> None:
    lines = ['{"x":"b"}', f'{{"x":"b {pair}"}}']
    frame = pl.DataFrame({SHAPE: [1, 1], LINE: lines}, schema_overrides={SHAPE: pl.UInt16})
    parsed = reader_of(parsers_of("| json | logfmt")).read(frame, shapes_of(lines[0]), ["a_1", "x"])
    assert parsed.names is None
    assert (parsed.easy is not None) == has_it
    if parsed.easy is not None:
        assert parsed.easy.to_list() == [True, False]


def test_bytes_that_were_no_characters_are_not_easy_to_capture() -> None:
    frame = pl.DataFrame({LINE: ["x y", "\ufffd y"]})
    parsed = reader_of(parsers_of("| pattern `<a> <_>`")).read(frame, None, ["a"])
    assert parsed.easy is not None
    assert parsed.easy.to_list() == [True, False]
    assert parsed.values["a"].to_list()[0] == "x"


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("| json", {"a_b", "x"}),
        ("| json x=`a.b`", {"a_b"}),
        ("| logfmt x=`a_b`", {"a_b"}),
        ("| pattern `<x> <a_b>`", set()),  # whose words are stored by their numbers
        ("| regexp `(?P<x>.)`", set()),
        ("| unpack", set()),
        ("", set()),
    ],
)
def test_fields_are_stored_under_their_own_names(text: str, fields: set[str]) -> None:
    assert reader_of(parsers_of(text)).stored_columns(("x", "a_b")) == {FIELD_PREFIX + name for name in fields}


@pytest.mark.parametrize(
    ("text", "asked_for", "second", "expected"),
    [
        ("| logfmt a, b", None, "b", [("x", "y"), ("x", "y")]),
        ("| logfmt a, b", {"a"}, "b", [("x", None), (None, "y")]),  # ends with the first pair
        ("| logfmt a, b", {"a", "c"}, "b", [("x", "y"), ("x", "y")]),
        ("| logfmt a, d=`c`", {"a", "b"}, "d", [("x", None), ("x", None)]),  # passes over c
        ("| logfmt a, d=`c`", {"b", "c"}, "d", [("x", "z"), ("x", "z")]),
        ("| logfmt a", {"a"}, "b", [("x", None), ("x", None)]),
    ],
)
def test_logfmt_with_expressions_passes_over_pairs(
    text: str, asked_for: set[str] | None, second: str, expected: list[tuple[str | None, str | None]]
) -> None:
    lines = pl.DataFrame({LINE: ["a=x b=y c=z", "b=y c=z a=x"]})
    demand = Demand(None if asked_for is None else frozenset(asked_for))
    parsed = reader_of(parsers_of(text), demand).read(lines, None, ["a", second])
    assert parsed.easy is None
    assert list(zip(parsed.values["a"], parsed.values[second], strict=True)) == expected


def test_a_pattern_takes_words_that_are_stored_and_the_few_lines_without_a_shape() -> None:
    pattern = '<ip> - <user> [<_>] "<method> <_>" <status> <_>'
    access = [f'10.0.0.{n} - - [1/Jan +0000] "{("GET", "PUT")[n % 2]} /{n} x" {200 + n % 3} {n}' for n in range(60)]
    lines = pl.Series([*access, r'::1 - ann [1/Jan +0000] "\x16" 400 0 "-"'])
    choice = choose_fields(lines)
    columns = field_columns(lines, choice)
    assert columns is not None
    stored = {FIELD_PREFIX + name: column for name, column in columns.values.items()}
    fields, names = reader_of(parsers_of(f"| pattern `{pattern}`")), ["method", "status", "user"]
    assert fields.columns({LINE, SHAPE, *stored}, choice.shapes, names) == {SHAPE, *stored}
    expected = {name: column.to_list() for name, column in pattern_columns(pattern, lines, names).items()}
    for frame in (
        pl.DataFrame({SHAPE: columns.shape, **stored}),
        pl.DataFrame(
            {SHAPE: columns.shape, **{k: v.cast(pl.Enum(v.unique().drop_nulls())) for k, v in stored.items()}}
        ),
    ):
        parsed = fields.read(frame, choice.shapes, names)
        assert parsed.easy is None
        assert {name: column.to_list() for name, column in parsed.values.items()} == expected
    with pytest.raises(LinesNeeded):
        fields.read(frame.drop(FIELD_PREFIX + "0"), choice.shapes, names)
    for name in ("ip", "request"):  # not stored, and not known
        other = reader_of(parsers_of('| pattern `<ip> <_> "<request>" <_>`'))
        assert other.columns({LINE, SHAPE, *stored}, choice.shapes, [name]) == {LINE}


VALUES = {"a": 'q"uote \\ x', "b": "", "level": "é"}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("| json", None),
        ("| json", "json"),
        ("| json a=`x.y`, b=`b`, level=`c`", "json"),
        ("| logfmt --keep-empty", None),
        ("| logfmt a=`x`, b=`y`, level=`z`", "logfmt"),
        ("| json | logfmt", "json"),
        ("| logfmt | json", "json"),
        ("| pattern `<a> <b> <level>`", None),
        ("| regexp `(?P<a>.)(?P<b>.)(?P<level>.)`", None),
    ],
)
def test_an_outline_has_its_labels(text: str, kind: str | None) -> None:
    parsers = parsers_of(text)
    pipeline = compile_pipeline([outline_parser(parser) for parser in parsers])
    row = pipeline.process(0, outline_line(parsers, VALUES if kind is None else {**VALUES, KIND: kind}), (), {})
    assert row is not None
    assert dict(row.labels()) == VALUES


def test_parsers_find_nothing_in_the_outline_of_nothing() -> None:
    for text in ("| json", "| logfmt", "| logfmt | json", "| logfmt --keep-empty", "| json | logfmt --keep-empty"):
        parsers = parsers_of(text)
        pipeline = compile_pipeline([outline_parser(parser) for parser in parsers])
        row = pipeline.process(0, outline_line(parsers, {KIND: "nothing"}), (), {})
        assert row is not None
        assert {name for name, _ in row.labels()} <= {"__error__", "__error_details__"}
