import pytest
from one_entry import STREAM, parsed, passed

from log_aggregator.engine.pipeline import line_filters_first
from log_aggregator.logql.ast import LogExpr
from log_aggregator.logql.parser import parse_expr

LINE = "level=info n=5 d=1h30m size=20KB ip=10.0.0.7 bad=abc"

PASSES = {
    'level="info"': True,
    'level=~"inf."': True,
    'level=~"inf"': False,
    'level!~"inf"': True,
    'level!="warn"': True,
    'nosuch=""': True,
    'nosuch!=""': False,
    "n=5": True,
    "n!=5": False,
    "n>=5": True,
    "n<5": False,
    "nosuch=5": False,
    "nosuch!=5": False,
    "d>1h": True,
    "d=90m": True,
    "d<1h": False,
    "nosuch!=1h": False,
    "size=20KB": True,
    "size=20000B": True,
    "size<20KB": False,
    'ip=ip("10.0.0.0/8")': True,
    'ip!=ip("10.0.0.0/8")': False,
    'nosuch!=ip("10.0.0.0/8")': False,
    'ip=ip("no address") or n=5': True,
    'ip!=ip("no address") or n=4': False,
    'n=5 and level="warn"': False,
    'n=4 or level="info"': True,
    'n=5, level="info"': True,
    'n=4, level="info"': False,
}


@pytest.mark.parametrize(("condition", "expected"), PASSES.items(), ids=PASSES)
def test_label_filter(condition: str, expected: bool) -> None:
    assert (passed(f"| logfmt | {condition}", LINE) is not None) is expected


REFUSED = {
    "bad>1": 'strconv.ParseFloat: parsing "abc": invalid syntax',
    "bad!=1h": 'time: invalid duration "abc"',
    "n>1h": 'time: missing unit in duration "5"',
    "bad>1KB": 'strconv.ParseFloat: parsing "": invalid syntax',
    "d>1KB": "unhandled size name: h30m",
    "bad>1 or n=4": 'strconv.ParseFloat: parsing "abc": invalid syntax',
}


@pytest.mark.parametrize(("condition", "details"), REFUSED.items(), ids=REFUSED)
def test_what_cannot_be_converted_passes_with_an_error(condition: str, details: str) -> None:
    labels = parsed(f"| logfmt | {condition}", LINE)
    assert (labels["__error__"], labels["__error_details__"]) == ("LabelFilterErr", details)


def test_only_a_filter_of_its_own_keeps_an_error_out() -> None:
    assert passed('| logfmt | bad > 1 | __error__=""', LINE) is None
    assert passed('| logfmt | bad > 1 | __error__="LabelFilterErr"', LINE) is not None
    assert passed('| logfmt | bad > 1 | n > 7 | __error__!=""', LINE) is None
    assert passed('| logfmt | bad > 1 | env=ip("1.1.1.1")', LINE) is not None


def test_the_first_error_of_filters_stays() -> None:
    assert parsed("| json | label_format x=`1h` | x > 5", LINE)["__error__"] == "JSONParserErr"


def test_sizes_compare_as_they_are_printed() -> None:
    assert passed("| logfmt | size = 10KiB", "size=10KiB") is None
    assert passed("| logfmt | size = 10KiB", "size=10kB") is not None


def test_a_line_is_given_up_at_the_first_label_that_is_refused() -> None:
    """Seen where a stage between parser and filter takes the label away."""
    assert passed('| logfmt | drop level | level=""', LINE) is None
    assert passed('| drop app | app=""', LINE) is not None


def test_a_dot_is_a_line_end_to_matchers_but_not_to_label_filters() -> None:
    assert parsed('| logfmt | drop x=~"a.b" | keep x, y=~".+"', r'x="a\nb" y="\n"') == {"y": "\n"}
    assert parsed('| logfmt | drop x!~"a.b" | keep x=~"(?-s)a.b"', r'x="a\nb"') == {}
    assert passed('| logfmt | x=~"a.b"', r'x="a\nb"') is None
    assert passed('| logfmt | x!~"a.b"', r'x="a\nb"') is not None


def test_metadata_and_stream_stay_apart() -> None:
    row = passed("| logfmt", "id=1 x=2", {"id": "m", "env": "meta"})
    assert row is not None
    assert row.stream == STREAM
    assert row.metadata == {"id": "m", "env_extracted": "meta"}
    assert row.parsed == {"id_extracted": "1", "x": "2"}
    assert row.labels() == tuple(sorted((*STREAM, *row.metadata.items(), *row.parsed.items())))


def test_an_untouched_entry_has_the_stream_it_came_with() -> None:
    row = passed("", "x")
    assert row is not None
    assert row.stream is STREAM
    assert (row.metadata, row.parsed) == ({}, {})


def test_label_format_moves_labels_to_the_parsed_ones() -> None:
    row = passed("| label_format app=`{{.app}}!`, uid=id, gone=nosuch", "x", {"id": "m"})
    assert row is not None
    assert (row.stream, row.metadata, row.parsed) == ((("env", "prod"),), {}, {"app": "shop!", "uid": "m"})


def test_templates_of_one_stage_see_what_the_first_one_sees() -> None:
    assert parsed("| label_format a=`1` | label_format b=a, a=`{{.a}}{{.b}}`", "x") == {"b": "1", "a": "1"}
    assert parsed("| label_format a=`1` | label_format c=`{{.a}}`, d=`{{.c}}`", "x") == {"a": "1", "c": "1", "d": ""}


LINE_FORMAT = {
    "{{.app}}": "shop",
    "{{.nosuch}}": "",
    "{{.app}}-{{.id}}": "shop-m",
    "{{.app | upper}} {{__line__}}": "SHOP é",
    "{{substr 0 1 __line__}}": "\ufffd",
    "{{__timestamp__ | unixEpoch}}": "1768471200",
}


@pytest.mark.parametrize(("template", "expected"), LINE_FORMAT.items(), ids=LINE_FORMAT)
def test_line_format(template: str, expected: str) -> None:
    row = passed(f"| line_format `{template}`", "é", {"id": "m"})
    assert row is not None
    assert row.line == expected


def test_a_failing_template_keeps_the_line() -> None:
    row = passed("| line_format `{{div 1 0}}`", "x")
    assert row is not None
    assert (row.line, row.parsed["__error__"]) == ("x", "TemplateFormatErr")


def test_only_templates_of_more_than_a_field_see_errors() -> None:
    for template, line in (("{{.__error__}}", ""), ("{{.__error__}}.", "JSONParserErr.")):
        row = passed(f"| json | line_format `{template}`", "x")
        assert row is not None
        assert row.line == line


DROPPED = {
    "drop app": {"env": "prod", "id": "m", "level": "info"},
    "drop level": {"app": "shop", "env": "prod", "id": "m"},
    'drop level="warn", id=~"m.*"': {"app": "shop", "env": "prod", "level": "info"},
    "keep level, app": {"app": "shop", "level": "info"},
    'keep level="warn", level="info"': {"level": "info"},
    'keep level="warn"': {},
    "keep nosuch": {},
}


@pytest.mark.parametrize(("stage", "expected"), DROPPED.items(), ids=DROPPED)
def test_drop_and_keep(stage: str, expected: dict[str, str]) -> None:
    row = passed(f"| logfmt | {stage}", "level=info", {"id": "m"})
    assert row is not None
    assert dict(row.labels()) == expected


def test_errors_outlive_keep_but_not_drop() -> None:
    assert set(parsed("| json | keep nosuch", "x")) == {"__error__", "__error_details__"}
    assert parsed("| json | drop __error__", "x") == {}
    assert parsed("| json | drop nosuch, __error__", "x") == {}
    assert set(parsed("| json | drop __error_details__", "x")) == {"__error__"}


def test_a_dropped_stream_label_still_takes_its_name() -> None:
    assert parsed("| drop app | logfmt", "app=inner") == {"app_extracted": "inner"}


def test_decolorize() -> None:
    row = passed("| decolorize", "\x1b[31mred\x1b[0m \x1b]0;title\x07plain")
    assert row is not None
    assert row.line == "red plain"


def test_line_filters_run_before_what_they_do_not_need() -> None:
    assert passed('| decolorize |= "redblue"', "red\x1b[34mblue") is None
    assert passed('| line_format "new" |= "new"', "old") is not None
    expr = parse_expr('{a="b"} | json | logfmt |= "x" | y="z" | unpack |= "w" | decolorize |= "v"')
    assert isinstance(expr, LogExpr)
    json, logfmt, x, y, unpack, w, decolorize, v = expr.stages
    assert line_filters_first(expr.stages) == [x, json, logfmt, y, unpack, w, v, decolorize]


@pytest.mark.parametrize(
    "stages",
    [
        "| label_format app=`shop`",
        "| label_format app=`{{.app}}`, env=`{{.env}}`",
        "| label_format app=`x` | label_format app=`shop`",
        "| label_format other=app | label_format app=other",
        "| label_format app=`shop` | drop id",
    ],
)
def test_labels_made_what_the_stream_has_are_the_stream_s(stages: str) -> None:
    row = passed(stages, "x", {"id": "m"} if "drop" in stages else {})
    assert row is not None
    assert (row.stream, row.metadata, row.parsed) == (STREAM, {}, {})
    row = passed("| label_format app=`shop`", "x", {"id": "m"})
    assert row is not None
    assert (row.metadata, row.parsed) == ({"id": "m"}, {"app": "shop"})
