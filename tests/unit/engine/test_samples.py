import pytest
from one_entry import sample

from log_aggregator.engine.pushdown import push_down
from log_aggregator.engine.samples import PipelineFailed
from log_aggregator.logql.ast import LogExpr
from log_aggregator.logql.parser import parse_expr

LINE = 'level=info n=2 d=1m30s size=2KB bad=abc word="é"'
ALL = {"app": "shop", "env": "prod"}
PARSED = {"level": "info", "n": "2", "d": "1m30s", "size": "2KB", "bad": "abc", "word": "é"}

SAMPLES = {
    'count_over_time({app="shop"}[1m])': (ALL, 1.0),
    'bytes_over_time({app="shop"}[1m])': (ALL, 49.0),
    'bytes_rate({app="shop"} | line_format "éé" [1m])': (ALL, 4.0),
    'rate({app="shop"} | logfmt [1m])': (ALL | PARSED, 1.0),
    'rate({app="shop"} | logfmt | keep level, app [1m])': ({"app": "shop", "level": "info"}, 1.0),
    'rate({app="shop"} | logfmt | level="warn" [1m])': None,
    'sum_over_time({app="shop"} | logfmt n | unwrap n [1m])': (ALL, 2.0),
    'sum_over_time({app="shop"} | logfmt d | unwrap duration(d) [1m])': (ALL, 90.0),
    'sum_over_time({app="shop"} | logfmt d | unwrap duration_seconds(d) [1m])': (ALL, 90.0),
    'sum_over_time({app="shop"} | logfmt size | unwrap bytes(size) [1m])': (ALL, 2000.0),
    'sum_over_time({app="shop"} | logfmt | unwrap nosuch [1m])': None,
    'sum_over_time({app="shop"} | logfmt empty | unwrap empty [1m])': None,
    'sum_over_time({app="shop"} | logfmt | unwrap n | n > 5 [1m])': None,
    'sum_over_time({app="shop"} | logfmt | unwrap bad | __error__="" [1m])': None,
    'max_over_time({app="shop"} | logfmt | unwrap n [1m]) by (level, nosuch)': ({"level": "info"}, 2.0),
    'max_over_time({app="shop"} | logfmt | unwrap n [1m]) by (n)': ({"n": "2"}, 2.0),
    'max_over_time({app="shop"} | logfmt | unwrap n [1m]) by ()': ({}, 2.0),
    'max_over_time({app="shop"} | logfmt level, n | unwrap n [1m]) without (env)': (
        {"app": "shop", "level": "info"},
        2.0,
    ),
    'count_over_time({app="shop"} | logfmt x="nosuch" [1m])': (ALL | {"x": ""}, 1.0),
    'absent_over_time({app="shop"} | logfmt [1m])': ({}, 1.0),
    # below a sum
    'sum by (level) (rate({app="shop"} | logfmt [1m]))': ({"level": "info"}, 1.0),
    'sum by (env) (rate({app="shop"}[1m]))': ({"env": "prod"}, 1.0),
    'sum without (env) (rate({app="shop"}[1m]))': ({"app": "shop"}, 1.0),
    'sum(rate({app="shop"} | logfmt [1m]))': ({}, 1.0),
    'sum by (x) (rate({app="shop"} | logfmt | label_format x=level, level=`new` [1m]))': ({"x": "info"}, 1.0),
    'sum by (level) (rate({app="shop"} | logfmt | label_format x=level, level=`new` [1m]))': ({}, 1.0),
    'max by (level) (rate({app="shop"} | logfmt level [1m]))': (ALL | {"level": "info"}, 1.0),
}


@pytest.mark.parametrize(("query", "expected"), SAMPLES.items(), ids=SAMPLES)
def test_series_and_value_of_a_line(query: str, expected: tuple[dict[str, str], float] | None) -> None:
    assert sample(query, LINE) == expected


FAILS = {
    'count_over_time({app="shop"} | json [1m])': "JSONParserErr",
    'count_over_time({app="shop"} | json | keep app [1m])': "JSONParserErr",
    'count_over_time({app="shop"} | json | __error__!="" [1m])': "JSONParserErr",
    'sum by (app) (count_over_time({app="shop"} | json | __error__=~".*" [1m]))': "JSONParserErr",
    'max by (app) (count_over_time({app="shop"} | json [1m]))': "JSONParserErr",
    'sum by (level) (count_over_time({app="shop"} | json [1m]))': "JSONParserErr",
    'count_over_time({app="shop"} | logfmt | bad > 1 [1m])': "LabelFilterErr",
    'sum(count_over_time({app="shop"} | logfmt | bad > 1 [1m]))': "LabelFilterErr",
    'sum_over_time({app="shop"} | logfmt | unwrap bad [1m])': "SampleExtractionErr",
    'max_over_time({app="shop"} | logfmt | unwrap bad [1m]) by (app)': "SampleExtractionErr",
    'count_over_time({app="shop"} | line_format `{{div 1 0}}` | logfmt [1m])': "TemplateFormatErr",
    'bytes_over_time({app="shop"} | line_format `{{div 1 0}}` [1m])': "TemplateFormatErr",
    'count_over_time({app="shop"} | label_format x=`{{div 1 0}}` [1m])': "TemplateFormatErr",
}


@pytest.mark.parametrize(("query", "error"), FAILS.items(), ids=FAILS)
def test_an_error_fails_the_query(query: str, error: str) -> None:
    with pytest.raises(PipelineFailed) as failure:
        sample(query, LINE)
    assert failure.value.error == error


FORGIVEN = {
    'count_over_time({app="shop"} | json | drop __error__ [1m])': (ALL, 1.0),
    'count_over_time({app="shop"} | json | __error__="" [1m])': None,
    'count_over_time({app="shop"} | line_format `{{div 1 0}}` [1m])': (ALL, 1.0),
    'count_over_time({app="shop"} | line_format `{{div 1 0}}` | decolorize [1m])': (ALL, 1.0),
    'count_over_time({app="shop"} | drop env | json | drop __error__ [1m])': (
        {"app": "shop", "__error_details__": "Value looks like object, but can't find closing '}' symbol"},
        1.0,
    ),
    'sum without (n) (rate({app="shop"} | drop env | json | drop __error__ [1m]))': ({"app": "shop"}, 1.0),
    'absent_over_time({app="shop"} | json [1m])': ({}, 1.0),
    'sum(count_over_time({app="shop"} | json [1m]))': ({}, 1.0),
    'sum(count_over_time({app="shop"} | json | level > 5 [1m]))': None,
    'sum(count_over_time({app="shop"} | json | level=~".*" [1m]))': ({}, 1.0),
    'sum(count_over_time({app="shop"} | json | level=~".*" or n=~"" [1m]))': ({}, 1.0),
}


@pytest.mark.parametrize(("query", "expected"), FORGIVEN.items(), ids=FORGIVEN)
def test_an_error_that_nothing_depends_on_is_none(query: str, expected: tuple[dict[str, str], float] | None) -> None:
    assert sample(query, LINE) == expected


UNREADABLE = {
    'count_over_time({app="shop"} | pattern "<x> <y>" [1m])': None,
    'sum by (x) (count_over_time({app="shop"} | pattern "<x> <y>" [1m]))': None,
    'sum by (y) (count_over_time({app="shop"} | pattern "<x> <y>" [1m]))': ({"y": "b"}, 1.0),
    'sum by (x) (count_over_time({app="shop"} | pattern "<x> <y>" | y > 1 [1m]))': None,
    'sum by (z) (count_over_time({app="shop"} | label_format z=`{{trunc 1 "é"}}` [1m]))': ({"z": "\ufffd"}, 1.0),
}


@pytest.mark.parametrize(("query", "expected"), UNREADABLE.items(), ids=UNREADABLE)
def test_series_with_a_character_for_what_was_none_do_not_count(
    query: str, expected: tuple[dict[str, str], float] | None
) -> None:
    assert sample(query, "a\ufffd b") == expected


def test_what_a_sum_needs_is_found_before_the_line_breaks() -> None:
    broken = '{"level":"info","n":'
    assert sample('sum by (level) (rate({app="shop"} | json [1m]))', broken) == ({"level": "info"}, 1.0)
    with pytest.raises(PipelineFailed):
        sample('sum by (level, n) (rate({app="shop"} | json [1m]))', broken)


def test_a_sum_by_error_keeps_it() -> None:
    found = sample('sum by (__error__) (count_over_time({app="shop"} | json | __error__!="" [1m]))', LINE)
    assert found is not None
    assert found[0]["__error__"] == "JSONParserErr"


def test_failure_in_the_words_of_loki() -> None:
    with pytest.raises(PipelineFailed) as failure:
        sample('count_over_time({app="shop"} | unpack [1m])', LINE)
    assert str(failure.value) == (
        "pipeline error: 'JSONParserErr' for series: '{__error__=\"JSONParserErr\", "
        '__error_details__="expecting json object(6), but it is not", app="shop", env="prod"}\'.\n'
        'Use a label filter to intentionally skip this error. (e.g | __error__!="JSONParserErr").\n'
        'To skip all potential errors you can match empty errors.(e.g __error__="")\n'
        'The label filter can also be specified after unwrap. (e.g | unwrap latency | __error__="" )\n'
    )


def test_only_sums_of_what_adds_up_are_pushed_down() -> None:
    for query in (
        'max by (a) (rate({app="shop"}[1m]))',
        'sum by (a) (max_over_time({app="shop"} | unwrap n [1m]))',
        'sum by (a) (max_over_time({app="shop"} | unwrap n [1m]) by (b))',
        'sum by (a) (rate_counter({app="shop"} | unwrap n [1m]))',
        'sum by (a) (rate({app="shop"}[1m]) * 2)',
        "vector(1) + 2",
    ):
        expr = parse_expr(query)
        assert not isinstance(expr, LogExpr)
        assert push_down(expr) == expr
