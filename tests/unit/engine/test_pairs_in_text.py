"""Pairs of logfmt among words, held to the stage's own reading."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from log_aggregator.engine.entry_labels import REPLACEMENT, Demand, EntryLabels, sanitise
from log_aggregator.engine.logfmt import Problem, compile_logfmt, scan
from log_aggregator.engine.pairs_in_text import extracted_pairs, pairs_in_text
from log_aggregator.logql.ast import Extraction, LogfmtStage

KLOG = 'I1127 10:00:00.000001       1 workers.go:7] "Error syncing, skipping" err="no \\"x\\" here" pod="a/b" count=3'
TOKENS = (
    *("a", "b", "a=1", "b=2", 'a="x y"', 'b="q a=7"', 'c="x \\" a=3 "', '"foo', 'bar"', "a=", 'b=""', "[x]", "\n"),
    *("a.b=4", "a_b=5", "a-b=6", '"a=8"', "=", "a==1", '"', "\\", "\t", "a=1\tb=2", "\ufffd", "a=\ufffdx", "é=1"),
    *('a="\\n\\u0041"', "a=é", "1a=2", "_a=3", "__a=4", "a_extracted=9", "ab=1", 'c="b a=\\\\" ', 'b="open', "A=5"),
    *(
        "a=b=c",
        "a==",
        "(a=1",
        "((error))=3",
        "a=?q=1&b=2",
        'a="x"]',
        'b="y"a',
        'a=b"c d"',
        '"a=b',
        'b"a=1',
        "=a=1",
        "(a=",
    ),
    *(r'a="\ufffd"', r'b="x\uD800y"', r'a="\\ud83d\ude00"', r"a=\ufffd"),
    *("c", "a_b", "x a y", "a,", 'msg="x a y"', 'c="v"a', "\u00a0a", 'a_b=""'),
    *('a="x"b=3', 'x"a=3', "\u00a0a=1", "a\u00a0=1", "..a=2", '{"a":1}', "c=[a", 'a=b"c', 'b="a=1"c'),
)
texts = st.lists(st.tuples(st.sampled_from(TOKENS), st.sampled_from((" ", " ", "  ", ""))), max_size=7).map(
    lambda parts: "".join(token + space for token, space in parts)
)


def by_the_stage(line: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in scan(line):
        if not isinstance(one, Problem) and one[1]:
            found.setdefault(sanitise(one[0]), one[1].replace(REPLACEMENT, " "))
    return found


@settings(max_examples=300)
@given(st.lists(texts, min_size=1, max_size=20), st.lists(st.sampled_from(("a", "b", "a_b", "_a")), unique=True))
def test_what_is_known_is_what_the_stage_finds(lines: list[str], names: list[str]) -> None:
    found = pairs_in_text(pl.Series(lines), names)
    for row, line in enumerate(lines):
        if found.shape[row]:
            expected = by_the_stage(line)
            assert {name: found.values[name][row] for name in names} == {name: expected.get(name) for name in names}
            assert not any(name.startswith("__") for name in expected)


@settings(max_examples=400)
@given(
    st.lists(texts, min_size=1, max_size=20),
    st.sampled_from((("a",), ("A",), ("a", "b"), ("b", "a_b"), ("c", "a", "b"))),
    st.sampled_from((Demand(), Demand(frozenset("a")), Demand(frozenset("ab")), Demand(frozenset("ax")))),
)
def test_what_is_known_is_what_an_extraction_finds(lines: list[str], names: tuple[str, ...], demand: Demand) -> None:
    extractions = tuple(Extraction(name, name) for name in names)
    process = compile_logfmt(LogfmtStage(extractions, strict=False, keep_empty=False))
    only_first = demand.names is not None and demand.names <= set(names)
    found = extracted_pairs(pl.Series(lines), names, (), only_first=only_first)
    for row, line in enumerate(lines):
        if found.shape[row]:
            labels = EntryLabels(0, {}, {}, demand)
            process(line, labels)
            assert [found.values[name][row] or "" for name in names] == [labels.get(name) for name in names]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (KLOG, {"err": 'no "x" here', "pod": "a/b", "count": "3"}),
        ("no pairs at all", {"err": None, "pod": None, "count": None}),
        ('GET /x pod="" pod=a', {"err": None, "pod": "a", "count": None}),
        ('(total=1, "x=2 err= pod="a"] count=3\tnext\n', {"err": None, "pod": "a", "count": "3"}),
        ("GET pod=/a?q=b&count=5 count=3", {"err": None, "pod": None, "count": "3"}),
    ],
)
def test_usual_lines_are_known(line: str, expected: dict[str, str | None]) -> None:
    found = pairs_in_text(pl.Series([line]), list(expected))
    assert found.shape.to_list() == [1]
    assert {name: column[0] for name, column in found.values.items()} == expected


@pytest.mark.parametrize("line", ['pod="open', "é=1", "__a=1", 'pod="a"b=1', "a_extracted=1"])
def test_lines_that_only_the_stage_can_read(line: str) -> None:
    assert pairs_in_text(pl.Series([line]), ["pod"]).shape.to_list() == [0]


def test_usual_lines_are_known_to_extractions() -> None:
    lines = ['stderr F {"level":"info"}', "stdout F level=warn", "log_level=debug level=info", "level=info made"]
    found = extracted_pairs(pl.Series(lines), ["level"], ["made"], only_first=True)
    assert found.shape.to_list() == [1, 1, 1, 0]
    assert found.values["level"].to_list() == [None, "warn", "info", None]
