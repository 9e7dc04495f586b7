"""Line filters over columns, in cases of which a search by regular expressions or offsets might think otherwise."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import polars as pl
import pytest

from log_aggregator.engine.columnar import line_filter_expression
from log_aggregator.engine.line_filter import compile_line_filter
from log_aggregator.logql.ast import LineFilterStage, LineOp, LogExpr
from log_aggregator.logql.parser import parse_expr
from log_aggregator.model.segment import LINE


def stage_of(text: str) -> LineFilterStage:
    expr = parse_expr('{app="x"} ' + text)
    assert isinstance(expr, LogExpr)
    (stage,) = expr.stages
    assert isinstance(stage, LineFilterStage)
    return stage


def passing(stage: LineFilterStage, lines: list[str]) -> list[str]:
    """By columns, and by lines too."""
    frame = pl.DataFrame({LINE: lines}, schema={LINE: pl.String})
    kept: list[str] = frame.filter(line_filter_expression(stage))[LINE].to_list()
    assert kept == list(filter(compile_line_filter(stage), lines))
    return kept


PATTERNS = (
    # pattern, lines that pass, lines that do not
    ("", [""], ["a"]),
    ("<_>", ["a", "\ufffd", "\n"], [""]),
    ("a", ["a", "ba"], ["", "ab", "aba"]),
    ("a<_>", ["ab", "aa", "bab"], ["", "a", "ba"]),
    ("<_>a", ["ba"], ["", "a", "ab", "baa", "aba"]),
    ("<_>a<_>", ["bab"], ["a", "ab", "ba", "abab"]),
    ("a<_>a", ["aba", "baba"], ["aa", "aab", "aaba", "ababa"]),
    ("<_>a<_>a<_>", ["babab", "bab\naé", "baba\n"], ["baaab", "baba", "baab"]),
    ("<_> <_>", ["a b", "a  b"], [" a", "a ", " a b"]),
    ("<_>ab<_>b<_>", ["xabxbx"], ["bxabx", "xabbx", "xabb"]),
    ("<_>é<_>b", ["aéab", "aéaéb"], ["éab", "aéb", "aéabb"]),
    ('<_> "POST <_>" 500 <_>', ['1 - "POST /x HTTP/1.1" 500 7'], ['1 - "GET /x" 500 7', '1 "POST " 500 7']),
)


@pytest.mark.parametrize(("pattern", "kept", "others"), PATTERNS)
def test_patterns(pattern: str, kept: list[str], others: list[str]) -> None:
    assert passing(stage_of(f"|> `{pattern}`"), [*kept, *others]) == kept
    assert passing(stage_of(f"!> `{pattern}`"), [*kept, *others]) == others


ADDRESSES = (
    # what is looked for, lines that hold it, lines that do not
    (
        "10.0.0.0/8",
        ["10.1.2.3", "x10.255.0.0:80", "(10.1.2.3)", "\ufffd10.1.2.3\n"],
        ["", "110.1.2.3", "10.1.2", "10.1"],
    ),
    ("10.0.0.0/8", ["11.1.1.1 10.1.2.3", "ip=:10.1.2.3"], ["10.1.2.3.4", "10.1.2.3.", "10.256.1.1", "10.01.1.1"]),
    # Loki takes what may begin an address, and goes on behind it.
    ("10.0.0.0/8", ["1a.10.1.2.3", "10.1.2.3ab"], ["1:10.1.2.3", "80:10.1.2.3", "node:10.1.2.3", "::10.1.2.3"]),
    ("10.1.0.0/16", ["10.1.9.9", "10.2.1.1, 10.1.1.1"], ["10.2.0.0", "10.10.1.1", "10.1."]),
    ("10.1.2.3", ["10.1.2.3", "10.1.2.30 10.1.2.3"], ["10.1.2.30", "10.1.2.3.9", "210.1.2.3"]),
    ("172.16.0.0/12", ["172.16.0.0", "172.31.255.255"], ["172.15.255.255", "172.32.0.0", "172.160.0.0"]),
    ("9.9.9.250-11.0.0.1", ["9.9.9.255", "9.10.0.0", "10.1.1.1", "11.0.0.1"], ["9.9.9.249", "11.0.0.2", "11.0.0.10"]),
    ("0.0.0.0/0", ["0.0.0.0", "a 255.255.255.255"], ["999.1.1.1", "256.0.0.0", "1.2.3"]),
    ("::1", ["::1", "0:0:0:0:0:0:0:1", "[::1]:80", "a=0000::0001", ":::1"], ["1::1", "::11", ":1", "::00001"]),
    ("2001:db8::/32", ["2001:DB8::", "2001:0db8:1:2:3:4:5:6"], ["2001:db9::1", "12/Mar/2001:13:55:36", "2001:db8:"]),
    ("fe80::/10", ["FE80::1%eth0", "febf::", "x fe80:1:2:3:4:5:1.2.3.4"], ["fec0::", "fe80:1:2:3:4:5:6", "fe80:"]),
    ("::ffff:0:0/96", ["::ffff:10.1.2.3", "::FFFF:a01:203"], ["10.1.2.3", "::fffe:10.1.2.3"]),
    ("fe80::1%eth0", [], ["fe80::1", "fe80::1%eth0"]),
)


@pytest.mark.parametrize(("pattern", "kept", "others"), ADDRESSES)
def test_addresses(pattern: str, kept: list[str], others: list[str]) -> None:
    assert passing(stage_of(f'|= ip("{pattern}")'), [*kept, *others]) == kept
    assert passing(stage_of(f'!= ip("{pattern}")'), [*kept, *others]) == others


NEGATED: dict[LineOp, LineOp] = {"|=": "!=", "|~": "!~", "|>": "!>"}
STAGES = (
    '|= "a" or ip("10.0.0.0/8")',
    '|= "a" or ip("10.0.0.0/8") or ip("::/0")',
    "|> `a` or `<_>1<_>`",
    "|> `a<_>` or ``",
    r"|~ `\pL\d`",
    r"|~ `\pL\d` or `^1`",
)


@pytest.mark.parametrize("text", STAGES)
def test_of_several_operands_one_suffices(text: str) -> None:
    stage = stage_of(text)
    lines = ["", "a", "10.1.1.1", "1", "é1", "a1b", "1::1", "\ufffd"]
    kept = passing(stage, lines)
    assert kept
    assert passing(replace(stage, op=NEGATED[stage.op]), lines) == [line for line in lines if line not in kept]


@pytest.mark.parametrize("text", STAGES)
def test_no_lines(text: str) -> None:
    assert passing(stage_of(text), []) == []


@pytest.mark.parametrize("text", [*STAGES, '|= ip("10.1.2.3")', '!= ip("::1")', '!= ip("0.0.0.0/0")', "!> `<_>`"])
def test_what_has_no_line_neither_passes_nor_fails(text: str) -> None:
    frame = pl.DataFrame({LINE: [None, "", None]}, schema={LINE: pl.String})
    mask = frame.select(line_filter_expression(stage_of(text))).to_series()
    assert mask.is_null().to_list() == [True, False, True]


def test_threads_share_an_expression() -> None:
    frame = pl.DataFrame({LINE: [f"a{number} 10.0.{number % 300}.1 node:{number % 7}::1" for number in range(1000)]})
    masks = [line_filter_expression(stage_of(text)) for text in ('|= ip("10.0.0.0/9") or ip("3::1")', "|> `a<_>7<_>`")]

    def kept(_: int) -> list[int]:
        return [frame.filter(mask).height for mask in masks]

    with ThreadPoolExecutor(8) as threads:
        assert len({tuple(found) for found in threads.map(kept, range(64))}) == 1
