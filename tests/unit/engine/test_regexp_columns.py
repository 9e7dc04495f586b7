"""Which expressions of the regexp stage have columns, and what these hold."""

import polars as pl
import pytest

from log_aggregator.engine.capturing_regex import capturing_regex
from log_aggregator.engine.regexp_columns import has_regexp_columns, regexp_columns

CASES = (
    (r'"(?P<x>\w+) (?P<y>\S+)', '1.2.3.4 "GET /a?b=c HTTP/1.1"', {"x": "GET", "y": "/a?b=c"}),
    (r"(?P<x>\d+)", "no number", {"x": None, "y": None}),
    (r"(?P<x>\d*)", "no number", {"x": "", "y": None}),
    (r"(?P<x>a)?b(?P<y>c)?", "b", {"x": "", "y": ""}),
    (r"(?P<x>a)?b(?P<y>c)?", "bc", {"x": "", "y": "c"}),
    (r"(?P<x>a)|(?P<y>b)", "b", {"x": "", "y": "b"}),
    (r"(?P<x>[a-c])+", "abcd", {"x": "c"}),
    (r"(?P<x>.+?)(?P<y>b+)", "aabb", {"x": "aa", "y": "bb"}),
    (r"(?P<x>(?P<y>.)b)", "ab", {"x": "ab", "y": "a"}),
    (r"(?P<1st>a)(?P<_1st>b)", "ab", {"_1st": "a"}),
    (r"(a)(?P<x>b)(?P<y>c)(d)", "abcd", {"x": "b", "y": "c"}),
    (r"(?P<x>.*)$", "a\nb", {"x": "b"}),
    (r"(?s)(?P<x>.*)$", "a\nb", {"x": "a\nb"}),
    (r"(?im)^(?P<x>b)$", "a\nB", {"x": "B"}),
    (r"(?P<x>\w+)\b", "é_1é", {"x": "_1"}),
    ("(?P<x>.)", "\ufffd", {"x": "\ufffd"}),
    (r"(?P<x>ab|a)(?P<y>c|bcd)", "abcd", {"x": "ab", "y": "c"}),
    (r"(?P<x>a{01})", "aa{01}", {"x": "a{01}"}),
)


@pytest.mark.parametrize(("pattern", "line", "expected"), CASES)
def test_columns_hold_what_groups_hold(pattern: str, line: str, expected: dict[str, str | None]) -> None:
    assert has_regexp_columns(pattern)
    found = regexp_columns(pattern, pl.Series([line]), list(expected))
    assert {name: column.to_list() for name, column in found.items()} == {n: [value] for n, value in expected.items()}
    for name in expected:  # alone as with the others
        assert regexp_columns(pattern, pl.Series([line]), [name])[name].to_list() == [expected[name]]


def test_no_lines_have_no_captures() -> None:
    (column,) = regexp_columns("(?P<x>a)", pl.Series([], dtype=pl.String), ["x"]).values()
    assert column.dtype == pl.String
    assert not len(column)


HELD_OTHERWISE = (
    "(?P<x>a|b*)*",
    "(?P<x>|a)+",
    "(?P<x>a*){2,}",
    r"(?P<x>\b)+",
    "(?:(?P<x>a)?)+",
    "(?P<x>a){0}b",
    "(?:a+b|a+)(?P<x>.)",
    "(?P<x>a+b|a+)",
    "(?P<x>[ab]+c|(?:[ab])+.)",
    r"(?P<x>.+\b|.+a??)",
    r"(?:(?P<x>.+)b)|(?P<y>.+)",
    "(?i)(?P<x>ka+|Ka+b)",
    r"(?P<x>\pL)",
    r"\Q.\E(?P<x>a)",
)


@pytest.mark.parametrize("pattern", HELD_OTHERWISE)
def test_what_the_engines_may_capture_otherwise_has_no_columns(pattern: str) -> None:
    assert not has_regexp_columns(pattern)


SURE = (
    r"(?P<x>(?:\w+\.)+\w+)",
    r"(?P<x>a+?)(?:b+?c)*",
    r"user=(?P<x>\w+)|uid=(?P<y>\d+)",
    r"(?P<x>-|[0-9]+)",
    r"(?P<x>a+b|b+)",
    r"(?P<x>[0-9]+)|(?P<y>[a-f])",
    r"^(?:\[(?P<x>[^\]]*)\] )?(?P<y>.*)$",
)


@pytest.mark.parametrize("pattern", SURE)
def test_what_the_engines_surely_capture_alike_has_columns(pattern: str) -> None:
    assert has_regexp_columns(pattern)


TAILS = (
    (r"(?P<x>a) b+", r"(a) b"),
    (r"(?P<x>a) b+?.*", r"(a) b"),
    (r"(?P<x>a)(?: (?P<y>b))?", r"(a)"),
    (r"(?P<x>a)(?: (?P<y>b+)|c*)", r"(a)(?: (?:b+)|)"),
    (r"(?P<x>a+)", r"(a+)"),
    (r"(?P<x>a)+", r"(a)+"),
    (r"(?P<x>a)b*$", r"(a)b*$"),
    (r"(?P<x>a)b{2}", r"(a)b{2}"),
    (r"(?P<x>a)\*\?", r"(a)\*\?"),
)


@pytest.mark.parametrize(("pattern", "expected"), TAILS)
def test_what_may_be_any_length_at_the_end_is_not_followed(pattern: str, expected: str) -> None:
    assert capturing_regex(pattern, frozenset("x")) == expected
