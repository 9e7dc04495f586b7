"""Levels of a column of lines are the levels of the lines, one by one."""

import polars as pl
from hypothesis import example, given
from hypothesis import strategies as st

from log_aggregator.services.level import DEFAULT_LEVEL_FIELDS, level_of_line
from log_aggregator.services.level_columns import levels_of_lines
from log_aggregator.services.level_reader import LevelReader, level_reader

# More rows than the number below which columns are not used at all.
ROWS = 768

PIECES = (
    *'{}":=, \\[]1x|\n\t\0\xa0\ufffdéİ',
    *("level", "Level", "info", "error", "WARNING", "ERR", "warn:", "true", "null", "k=v", '{"', '"}'),
)
MEMBERS = (
    '"level":"info"',
    '"lvl" : "Error"',
    '"severity":"DEBUG"',
    '"level":30',
    '"msg":"an error"',
    '"level":"a\\"b"',
    '"a":{"level":"trace"}',
    '"a":{"b":{"level":"trace"}}',
    '"a":[1,"]"]',
    '"a":[[{"level":"warn"}]]',
    '"a":{',
    '"a":nul',
    '"a":-1e3x',
    '"a":"x\\"y"',
    '"l\\u0065vel":"fatal"',
    '"l\\qvel":"fatal"',
    '"é":"critical"',
)
PAIRS = (
    "level=info",
    "LEVEL=Error",
    "level=",
    "level",
    'level="err"',
    'level="inf\\u006f"',
    'level="a"b',
    "lvl=warn",
    "ſeverity=fatal",
    'msg="an error"',
    'msg="a\\"b"',
    'msg="a\\x"',
    "a=b=c",
    "=x",
    "\ufffd=1",
    "fatal",
)
noise = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)
json_lines = st.lists(st.sampled_from(MEMBERS), max_size=4).map(lambda members: "{" + ",".join(members) + "}")
logfmt_lines = st.lists(st.sampled_from(PAIRS), max_size=4).map(" ".join)
whole_lines = st.one_of(json_lines, logfmt_lines, logfmt_lines.map("{{ {}".format))
lines = noise | whole_lines | st.tuples(whole_lines, noise).map("".join)
fields = st.sampled_from((DEFAULT_LEVEL_FIELDS, ("severity", "lvl"), ("log.level", "level"), (" level", "lvl")))


@example(['msg="a\\x" level=info error'], DEFAULT_LEVEL_FIELDS, 2)
@example([" level=info lvl=warn"], (" level", "lvl"), 2)
@given(st.lists(lines, min_size=1, max_size=64), fields, st.integers(-1, 3))
def test_columns_agree_with_rows(batch: list[str], names: tuple[str, ...], depth: int) -> None:
    column = pl.Series([batch[row % len(batch)] for row in range(ROWS)])
    expected = [level_of_line(line, names, depth) for line in batch]
    assert levels_of_lines(column, names, depth).to_list()[: len(batch)] == expected


@example(["  {a level=inf x"], ["", "}"], DEFAULT_LEVEL_FIELDS, 2)
@given(st.lists(lines, min_size=1, max_size=4), st.lists(noise, min_size=1, max_size=16), fields, st.integers(-1, 3))
def test_lines_that_begin_alike(beginnings: list[str], ends: list[str], names: tuple[str, ...], depth: int) -> None:
    batch = [beginning + end for end in ends for beginning in beginnings]
    column = pl.Series([batch[row % len(batch)] for row in range(ROWS)])
    expected = [level_of_line(line, names, depth) for line in batch]
    assert levels_of_lines(column, names, depth).to_list()[: len(batch)] == expected
    reader = LevelReader(names, depth, lines_per_look=1)
    assert [reader.level(line) for line in [*batch, *batch]] == expected * 2


@example(" level=info lvl=warn", (" level", "lvl"), 2)
@given(lines, fields, st.integers(-1, 3))
def test_lines_of_small_pushes(line: str, names: tuple[str, ...], depth: int) -> None:
    assert level_reader(names, depth).level(line) == level_of_line(line, names, depth)


FIELDS_BEFORE = (
    *(
        '"ts":"%s",',
        '"n" : %s , ',
        '"n":-%s,',
        '"ok":true,',
        '"a":[%s],',
        '"a":{"b":%s},',
        '"lvl":%s,',
        '"level":null,',
    ),
    *("ts=%s ", 'ts="%s"\t', "%s ", "level ", "lvl=%s ", "\x00", " ", '"%s', "%s="),
)
VALUES = ("1", "2", "fatal", "x y", "é", "true", 'a"b', '","level":"fatal', " level=fatal", "=", "\\", "\ufffd", "")
LEVELS = ('"level":"info"', '"level":"dbg"', '"lvl":"error"', "level=dbg", 'level="warn"', "LEVEL=debug", "level=x")
forms = st.tuples(
    st.sampled_from(("{", "{ ", "")),
    st.lists(st.sampled_from(FIELDS_BEFORE), max_size=3).map("".join),
    st.sampled_from(LEVELS),
    st.sampled_from(("}", "} ", ",}", "", " x", '"}')),
).map("".join)


@given(
    st.lists(forms, min_size=1, max_size=3), st.lists(st.sampled_from(VALUES), min_size=1), fields, st.integers(-1, 3)
)
@example(['{"ts":"%s","level":"dbg"}', '{"ts":"%s","level":"dbg"'], ["fatal"], DEFAULT_LEVEL_FIELDS, 2)
@example(["ts=%s level=dbg", "level ts=%s level=dbg"], [""], DEFAULT_LEVEL_FIELDS, 2)
def test_lines_of_the_same_forms(templates: list[str], values: list[str], names: tuple[str, ...], depth: int) -> None:
    batch = [
        templates[row % len(templates)].replace("%s", f"{values[row % len(values)]}{row // 2}") for row in range(ROWS)
    ]
    expected = [level_of_line(line, names, depth) for line in batch]
    assert levels_of_lines(pl.Series(batch), names, depth).to_list() == expected
    reader = LevelReader(names, depth, lines_per_look=1)
    assert [reader.level(line) for line in batch] == expected
