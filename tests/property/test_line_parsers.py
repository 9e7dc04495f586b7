"""Whatever a line holds, a pipeline has an answer for it, soon."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log_aggregator.engine import logfmt
from log_aggregator.engine.json_scan import Document
from log_aggregator.engine.pipeline import Row, compile_pipeline
from log_aggregator.logql.ast import LogExpr
from log_aggregator.logql.parser import parse_expr
from log_aggregator.model.labels import Labels

STREAM: Labels = (("app", "shop"),)
KEEPING_THE_LINE = (
    "| json",
    '| json a="a", b="a[0].b", c="[1][0]", d=`a["b"]["a"]`',
    "| logfmt",
    "| logfmt --strict --keep-empty",
    '| logfmt --strict a="b", b',
    '| pattern "<a> <_>=<b>"',
    '| regexp "(?P<a>a+)?[^=]*(?P<b>.)"',
    "| json | logfmt | unpack | drop a | keep b, c | a > 5 or b < 1h and c >= 1KB",
)
CHANGING_THE_LINE = (
    "| unpack",
    "| decolorize",
    "| line_format `{{.a}}{{__line__ | trunc 5}}` | json | label_format a=b, c=`{{substr 1 3 __line__}}` | logfmt",
)
PIECES = (
    *'{}[]":=, \\\n\t\0\x1b\ufffdé1-x',
    *('\\"', "\\u00e9", "\\ud800", '{"a":', '"b":', '":[', "nul", "true", "a=", 'b="', '"_entry":"', "\U0001f600"),
)
LINES = st.lists(st.sampled_from(PIECES)).map("".join) | st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
DOCUMENTS = st.dictionaries(
    st.text(max_size=3),
    st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner), max_leaves=5),
    max_size=3,
)
LONGEST_LINE = 256 * 1024


def passed(stages: str, line: str) -> Row | None:
    expr = parse_expr(f'{{app="shop"}} {stages}')
    assert isinstance(expr, LogExpr)
    return compile_pipeline(expr.stages).process(0, line, STREAM, {"a": "m"})


@pytest.mark.parametrize("stages", [*KEEPING_THE_LINE, *CHANGING_THE_LINE])
@given(line=LINES)
def test_every_line_has_an_answer_in_unicode(stages: str, line: str) -> None:
    row = passed(stages, line)
    if row is not None:
        assert row.line == line or stages in CHANGING_THE_LINE
        for name, value in row.labels():
            assert name
            assert name.isascii()
            value.encode()


@given(document=DOCUMENTS, indent=st.sampled_from([None, 1]), ascii_only=st.booleans())
def test_json_by_the_book_is_read_as_the_lenient_way_reads_it(
    document: dict[str, object], indent: int | None, ascii_only: bool
) -> None:
    line = json.dumps(document, indent=indent, ensure_ascii=ascii_only)
    by_the_book, lenient = passed("| json", line), passed("| json", line + " what follows is not looked at")
    assert by_the_book is not None
    assert lenient is not None
    assert by_the_book.parsed == lenient.parsed
    assert "__error__" not in by_the_book.parsed


@given(document=DOCUMENTS)
def test_a_path_finds_what_is_there(document: dict[str, object]) -> None:
    line = json.dumps({"x": {"y": [None, document]}})
    row = passed('| json found="x.y[1]"', line)
    assert row is not None
    assert json.loads(row.parsed["found"]) == document


@given(pairs=st.dictionaries(st.text("abcé-.", min_size=1), st.text(st.characters(exclude_categories=["Cs"]))))
def test_logfmt_gives_back_what_was_written(pairs: dict[str, str]) -> None:
    line = " ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in pairs.items())
    assert list(logfmt.scan(line)) == list(pairs.items())


@given(line=LINES)
def test_logfmt_problems_are_at_a_place_of_the_line(line: str) -> None:
    for found in logfmt.scan(line):
        if isinstance(found, logfmt.Problem):
            assert 0 <= found.at <= len(line)


@given(line=LINES)
def test_a_block_that_is_asked_for_again_ends_where_it_did(line: str) -> None:
    """Ends are remembered, also those found on the way to another's."""
    document = Document(line)
    for start, char in enumerate(line):
        if char in "{[":
            end = document.block(start, len(line))
            assert end == Document(line).block(start, len(line))
            assert end is None or line[end - 1] == {"{": "}", "[": "]"}[char]


HOSTILE = (
    '{"a":',
    '{"a":1,"b":',
    '{"a":1"b,"c":{"d":2},',
    '[{"b":',
    "[",
    '"',
    '{"a":"\\',
    "a==1 ",
    'a="',
    'k\ufffd="a ',
    "\x1b[31",
    "1.1.1.",
    "a",
)


@pytest.mark.parametrize("stages", [*KEEPING_THE_LINE, *CHANGING_THE_LINE, '|> "<_>a<_>b<_>"', '|= ip("1.2.3.4")'])
@pytest.mark.parametrize("unit", HOSTILE)
def test_time_grows_with_the_line_only(stages: str, unit: str) -> None:
    """Were it quadratic, this would take minutes."""
    line = (unit * LONGEST_LINE)[:LONGEST_LINE]
    passed(stages, line)
    passed(stages, line[: LONGEST_LINE // 2] + "}" * (LONGEST_LINE // 2))
