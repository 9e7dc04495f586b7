"""What label filters and other stages of a pipeline need of labels, and which filters columns may decide."""

import polars as pl
import pytest

from log_aggregator.engine.label_plan import fields_read, forms_of, names_needed, plan_labels, plan_leading
from log_aggregator.formats.chunk import FIELD_PREFIX
from log_aggregator.logql.ast import LogExpr, Stage
from log_aggregator.logql.parser import parse_expr
from log_aggregator.model.segment import LINE, METADATA, STREAM


def stages_of(text: str) -> tuple[Stage, ...]:
    expr = parse_expr(f'{{app="a"}} {text}')
    assert isinstance(expr, LogExpr)
    return expr.stages


NEEDED = (
    ("", {"level"}, {"level"}),
    ("| json", {"level"}, {"level"}),
    ("| json", {"level_extracted"}, {"level_extracted", "level"}),
    ("| status > 5", {"level"}, {"level", "status"}),
    ('| status > 5 or a="b"', set(), {"status", "a"}),
    ('| __error__=""', set(), set()),
    ("| label_format level=severity", {"level"}, {"level", "severity"}),
    ("| label_format level=severity", {"status"}, {"status"}),
    ("| label_format level=`{{.a}}{{.b}}`", {"status"}, {"status", "a", "b"}),
    ("| line_format `{{.a}}`", {"level"}, {"level", "a"}),
    ("| drop level", {"level", "status"}, {"status"}),
    ("| drop level | json", {"level", "status"}, {"level", "status"}),
    ('| drop level="x"', {"level"}, {"level"}),
    ("| keep a, b", {"a", "level"}, {"a"}),
    ("| keep a, b", None, {"a", "b"}),
    ("| json", None, None),
    ("| level=`x`", None, None),
)


@pytest.mark.parametrize(("text", "end", "start"), NEEDED)
def test_names_that_are_needed_before_stages(text: str, end: set[str] | None, start: set[str] | None) -> None:
    found = names_needed(stages_of(text), None if end is None else frozenset(end))
    assert found == start


LEADING = (
    ("| level=`x`", {0: 0}),
    ("| json | level=`x`", {1: 1}),
    ("| level=`x` | json | status=`y`", {0: 0, 2: 1}),
    ("| level=`` | json", {}),
    ("| json | level=`x` | logfmt | status=`y`", {3: 1}),
    ("| json | drop __error__ | level=`x`", {2: 1}),
    ("| json | drop status | level=`x` | status=`y`", {2: 1}),
    ("| json | keep level | level=`x` | status=`y`", {2: 1}),
    ("| json | label_format a=b | level=`x` | a=`y` | b=`z`", {2: 1}),
    ("| drop status | json | level=`x`", {}),
    ("| json | line_format `x` | level=`x`", {2: 1}),
    ("| json | line_format `{{div 1 .n}}` | level=`x`", {}),
    ("| json | level=`x` | line_format `{{.log}}` | level!=`y` | json | status=`z`", {1: 1, 5: 2}),
    ("| json | level=`x` | json | status=`y` | pattern `<a> <_>` | a=`z`", {1: 1, 3: 2, 5: 3}),
    ("| json | line_format `{{.log | lower}}` | json | status=`z`", {}),
    ("| json | drop log | line_format `{{.log}}` | json | status=`z`", {}),
    ("| json | drop a | line_format `{{.log}}` | json | status=`z`", {}),
    ("| json | drop __error__ | line_format `{{.log}}` | json | status=`z`", {4: 2}),
    ("| json | line_format `{{.log}}` | json x=`a` | status=`z`", {}),
    ("| json | line_format `{{.log}}` | unpack | json | status=`z`", {}),
    ("|= `x` | json | level=`x` |= `y`", {1: 1}),
    ("| decolorize | level=`x` | json | status=`y`", {1: 1, 3: 2}),
    ("| decolorize | json | decolorize | json | status=`y`", {}),
    ("| json | status > 5 | addr=ip(`::1`)", {1: 1}),
)


@pytest.mark.parametrize(("text", "filters"), LEADING)
def test_filters_are_leading_until_a_stage_changes_labels(text: str, filters: dict[int, int]) -> None:
    plan = plan_labels(stages_of(text))
    assert plan is not None
    assert plan.leading.labels == filters


LINES = (
    ("| json | line_format `{{.a}}: {{.b}}` |= `x`", {2: {"a", "b"}}),
    ("| line_format `{{.a}}` != `x` | json | line_format `y` |= `y`", {1: {"a"}}),
    ("| json | drop a | line_format `{{.a}}` |= `x`", {}),
    ("| json | line_format `{{.a}}` | drop a |= `x`", {2: {"a"}}),
    ("| json | keep a | line_format `{{.b}}` |= `x`", {}),
    ("| json | label_format a=b | line_format `{{.b}}` |= `x`", {}),
    ("| json | line_format `{{.a | lower}}` |= `x`", {}),
    ("| json | line_format `{{.a}}` | decolorize | a=`b` |= `x`", {}),
    ("| json | line_format `{{.a}}` | unpack |= `x`", {}),
    ("| app=`a` | decolorize | json | level=`b` |= `x`", {4: {"|decolorize"}}),
    ("| json | line_format `{{.a}}` | line_format `{{.b}}` |= `x` != `y`", {3: {"b"}, 4: {"b"}}),
)


@pytest.mark.parametrize(("text", "lines"), LINES)
def test_filters_of_made_lines_are_leading_where_columns_have_the_labels(text: str, lines: dict[int, set[str]]) -> None:
    plan = plan_labels(stages_of(text))
    assert plan is not None
    assert {number: set(line.names) for number, line in plan.leading.lines.items()} == lines


def test_what_only_decided_filters_read_is_not_made() -> None:
    plan = plan_labels(stages_of("| json | line_format `{{.a}}` |= `x` |= `y` | level=`z`"))
    assert plan is not None
    assert len(plan.stages_without(frozenset((2, 3)))) == 2
    assert len(plan.stages_without(frozenset((2,)))) == 4


@pytest.mark.parametrize("text", ["| json a=`b` | json c=`d`", "| json a=`b[0].c`", "| regexp `(?P<a>\\pL)`"])
def test_parsers_without_columns_have_no_plan(text: str) -> None:
    assert plan_labels(stages_of(text)) is None


@pytest.mark.parametrize(
    "last",
    [
        "| label_format a=b, c=`{{.d}}`",
        "| label_format a=`{{__line__}}`",
        "| unpack",
        "| json a=`b[0].c`",
        "| json a=`b`",
    ],
)
def test_stages_from_the_front_end_where_columns_do(last: str) -> None:
    stages = stages_of(f"| level=`x` | json | status=`y` | drop __error__ {last} | b=`z`")
    assert plan_leading(stages).stages == stages[:4]


@pytest.mark.parametrize("format_", ["a=b", "a=b, c=d", "a=`{{.b | ToUpper}}`", "a=`{{.b}}-{{.d}}`, c=`{{.d}}`"])
def test_they_go_on_behind_labels_that_are_renamed_or_made(format_: str) -> None:
    stages = stages_of(f"| json | label_format {format_} | status=`y`")
    plan = plan_leading(stages)
    assert plan.stages == stages
    assert plan.leading.numbers == {2}


def test_columns_are_numbers_where_filters_compare_alone() -> None:
    plan = plan_labels(stages_of("| json | a > 5 | b > 5 and b=`x` | c > 1s"))
    assert plan is not None
    assert plan.numeric_columns == {FIELD_PREFIX + "a"}
    a, b = FIELD_PREFIX + "a", FIELD_PREFIX + "b"
    assert forms_of((LINE, METADATA, b), plan.numeric_columns) == {METADATA: "codes", b: "codes"}
    assert forms_of((a, b), plan.numeric_columns) == {a: "codes or numbers", b: "codes"}


def test_labels_of_all_streams_hide_fields_unless_these_are_read_renamed() -> None:
    assert fields_read(frozenset({"app", "level"}), {"app"}) == ["level"]
    assert fields_read(frozenset({"app", "app_extracted"}), {"app"}) == ["app", "app_extracted"]
    assert fields_read(frozenset({"app"}), {"app"}, ("app",)) == ["app"]
    assert fields_read(None, {"app"}, ("n",)) == ["n"]


ROWS = (("info", 200), ("warn", 200), ("warn", 404), ("warn", 404))
READ_ROWS = (
    ("| json | line_format `{{.log}}` | logfmt | status=`200`", 5),
    ("| json | level=`info` | line_format `{{.log}}` | logfmt | status=`200`", 2),
    ("| json | level=`info` | line_format `{{.log}}` | logfmt | status=`200` | logfmt", 2),
    ("| json | level!=`info` | line_format `{{.log}}` | logfmt", 5),
    ("| json | level=~`info|warn` | line_format `{{.log}}` | logfmt", 5),
    ("| json | level > 5 | line_format `{{.log}}` | logfmt", 5),
    ("| json | line_format `{{.log}}` |= `404` | logfmt", 3),
    ("| json | level=`warn` | line_format `{{.log}}` |= `404` | logfmt", 3),
    ("| json | level=`none` | line_format `{{.log}}` | logfmt", 1),
)


@pytest.mark.parametrize(("text", "rows"), READ_ROWS)
def test_a_later_parser_reads_rows_that_filters_before_it_may_let_pass(text: str, rows: int) -> None:
    lines = [f'{{"level":"{level}","log":"status={status}"}}' for level, status in ROWS]
    frame = pl.DataFrame({STREAM: [0] * 5, LINE: [*lines, '{"level'], METADATA: [""] * 5})
    plan = plan_labels(stages_of(text))
    assert plan is not None
    read = plan.read(frame, None, {0: (("app", "a"),)}, ["level", "log", "status"])
    assert read is not None
    assert read[0].height == rows
    assert all(len(column) == rows for part in read[1].parts for column in part.values.values())


def test_no_later_parser_reads_where_no_row_passes() -> None:
    frame = pl.DataFrame({STREAM: [0], LINE: ['{"level":"info"}'], METADATA: [""]})
    plan = plan_labels(stages_of("| json | level=`none` | line_format `{{.log}}` | json"))
    assert plan is not None
    assert plan.read(frame, None, {0: (("app", "a"),)}, ["level", "log"]) is None
