import polars as pl
import pytest
from ingest_settings import Settings

from log_aggregator.model.labels import Labels
from log_aggregator.services.detected_level import detect_levels
from log_aggregator.services.level import DEFAULT_LEVEL_FIELDS, level_of_line
from log_aggregator.services.level_columns import levels_of_lines
from log_aggregator.services.level_reader import level_reader

LINES = {
    # words, the earliest first
    "": "unknown",
    "nothing to see": "unknown",
    "this is a warning": "warn",
    "ERROR: it broke": "error",
    "[Err] it broke": "error",
    "an (info) before an error": "info",
    "critical": "critical",
    "misc:error": "unknown",
    "error-prone errors erred": "unknown",
    "erring, then an 'error'": "error",
    "first\nfatal\tthird": "fatal",
    "trailing debug\n": "debug",
    "İNFO in Turkish": "info",
    "TRC is no word": "unknown",
    # JSON
    '{"level":"info","msg":"an error"}': "info",
    ' {"msg":"an error", "LEVEL" : "WARNING"}\n': "warn",
    '{"a":1,"b":[1,"]"],"c":"\\"","lvl":"dbg"}': "debug",
    '{"log.level":"trc"}': "trace",
    '{"level":30,"severity":"fatal"}': "fatal",
    '{"level":"notice","msg":"no error"}': "error",
    '{"a":{"level":"warn"},"level":"info"}': "warn",
    '{"a":{"b":{"level":"warn"}},"level":"info"}': "info",
    '{"a":[{"level":"warn"}]}': "warn",
    '{"msg":"level: error"}': "error",
    '{"msg":"an error","l\\u0065vel":"info"}': "info",
    '{"level":"inf\\u006f","msg":"an error"}': "error",
    '{"level":"info","level":"error"}': "info",
    '{"b":"an error","a":tru,"level":"info"}': "error",
    '{"b":"an error","a":12x,"level":"info"}': "info",
    '{"b":"an error","a":1 "level":"info"}': "error",
    '{"b":"an error","a":{"x"},"level":"info"}': "error",
    '{"a":1,}': "unknown",
    '{level:"an error","level":"info"}': "error",
    '\xa0{"b":"an error", "level":"info"}': "error",
    '{"level":"info"': "info",
    # logfmt
    "level=info msg=error": "info",
    'ts=1 msg="an error" lvl=warn': "warn",
    'lvl=warn level=info msg="an error"': "info",
    "LEVEL=Inf x=error": "info",
    "severity=Information x=error": "info",
    'level="info" x=error': "info",
    'level="inf\\u006f" x=error': "info",
    'level="inf\\q" x=error': "error",
    "level= x=error": "error",
    "a fatal level is level=info": "fatal",
    "level=notice x=error": "error",
    "a=b=c level=info x=error": "info",
    "a=b=c level=debug fatal x=error": "debug",
    'GET "/?a=b" level=info |error|': "info",
    'GET "/?a=b" fatal level=info': "fatal",
    '"x"=y level=info, error': "info",
    'a="x"level=info b=error': "info",
    "\ufffd=1 warn level=info": "warn",
}


@pytest.mark.parametrize(("line", "level"), LINES.items())
def test_level_of_a_line(line: str, level: str) -> None:
    assert level_of_line(line, DEFAULT_LEVEL_FIELDS, 2) == level


def test_level_of_lines_as_a_column() -> None:
    lines = [*LINES] * 10
    assert levels_of_lines(pl.Series(lines), DEFAULT_LEVEL_FIELDS, 2).to_list() == [*LINES.values()] * 10


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ('{"level":"info","msg":"an error"}', '{"level":"info"'),
        ('{"msg":"info","level":"info"}', '{"msg":"info","level":"info"'),
        ('{"a":{"level":"info"}}', None),
        ("ts=1 level=info msg=error", "ts=1 level=info "),
        ('level="info" msg=error', 'level="info"'),
        ("level=info", None),
        ("lvl=info level=warn", None),
        ("{ level=info x", None),
        ("an info", None),
        ("err " * 100 + "level=err x", None),
        ('{"m":"' + "info " * 100 + '","level":"info"}', None),
    ],
)
def test_beginnings_that_decide_the_level(line: str, text: str | None) -> None:
    head = level_reader(DEFAULT_LEVEL_FIELDS, 2).head(line)
    assert (head.text if head else None) == text


def test_a_line_that_is_nested_too_deeply_says_nothing() -> None:
    line = '{"a":' * 1200 + "1" + "}" * 1200  # more levels than Python's stack has room for
    assert level_of_line(line, DEFAULT_LEVEL_FIELDS, 0) == "unknown"
    assert levels_of_lines(pl.Series([line] * 600), DEFAULT_LEVEL_FIELDS, 0).to_list() == ["unknown"] * 600


@pytest.mark.parametrize(("depth", "level"), [(1, "info"), (2, "warn"), (3, "debug"), (0, "debug"), (-1, "debug")])
def test_json_is_searched_to_a_depth(depth: int, level: str) -> None:
    line = '{"a":{"b":{"level":"debug"},"level":"warn"},"level":"info"}'
    assert level_of_line(line, DEFAULT_LEVEL_FIELDS, depth) == level


def test_fields_are_the_tenant_s_own() -> None:
    assert level_of_line('{"level":"info","grade":"fatal"}', ("grade",), 2) == "fatal"
    assert level_of_line("level=info GRADE=fatal", ("grade",), 2) == "fatal"
    assert level_of_line("level=info rank=warn grade=fatal", ("grade", "rank"), 2) == "fatal"


PRECEDENCE: dict[str, tuple[Labels, dict[str, str], str]] = {
    "the line": ((), {}, "error"),
    "severity number": ((), {"severity_number": "9"}, "info"),
    "metadata before severity number": ((), {"severity_number": "9", "lvl": "Warning"}, "warn"),
    "trusted metadata first": ((), {"severity": "debug", "level": "trc"}, "trace"),
    "label before metadata": ((("level", "FATAL"),), {"lvl": "warn"}, "fatal"),
    "own metadata before label": ((("level", "FATAL"),), {"detected_level": "WRN"}, "warn"),
    "words of the sender are kept": ((("level", "Notice"),), {}, "Notice"),
    "words of the sender are kept in metadata": ((), {"detected_level": "Loud"}, "Loud"),
}


def test_where_levels_come_from() -> None:
    streams = [labels for labels, _, _ in PRECEDENCE.values()]
    rows = range(len(streams))
    metadata = [own for _, own, _ in PRECEDENCE.values()]
    lines = pl.Series(["level=error"] * len(streams))
    expected = [level for _, _, level in PRECEDENCE.values()]
    assert detect_levels(streams, rows, lines, metadata, Settings()).to_list() == expected
    assert detect_levels(streams, rows, lines, metadata, Settings(log_level_fields=())).to_list() == expected


@pytest.mark.parametrize(
    ("number", "level"),
    [
        ("-3", "trace"),
        ("0", "unknown"),
        ("1", "trace"),
        ("4", "trace"),
        ("5", "debug"),
        ("8", "debug"),
        ("12", "info"),
        ("+13", "warn"),
        ("16", "warn"),
        ("20", "error"),
        ("21", "fatal"),
        ("24", "fatal"),
        ("25", "unknown"),
        ("high", "info"),
        ("9.5", "info"),
    ],
)
def test_severity_numbers(number: str, level: str) -> None:
    lines, metadata = pl.Series(["level=error"]), [{"severity_number": number}]
    assert detect_levels([()], [0], lines, metadata, Settings()).to_list() == [level]
