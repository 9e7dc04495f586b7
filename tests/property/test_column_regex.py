"""A column finds and captures what RE2 does, line by line, with whatever is translated."""

import re
from itertools import count

import polars as pl
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from log_aggregator.engine.column_regex import column_regex
from log_aggregator.engine.entry_labels import Demand, EntryLabels
from log_aggregator.engine.regexp_columns import has_regexp_columns, regexp_columns
from log_aggregator.engine.text_stages import compile_regexp
from log_aggregator.logql.ast import RegexpStage
from log_aggregator.logql.regex import InvalidRegex, compile_regex

ATOMS = (
    *(
        "a",
        "k",
        "s",
        "é",
        "İ",
        "ß",
        " ",
        "-",
        "_",
        "#",
        "&",
        "~",
        "<",
        ">",
        "=",
        '"',
        "/",
        ",",
        "\n",
        "1",
        "{",
        "}",
        "]",
    ),
    *(".", "^", "$", r"\d", r"\D", r"\w", r"\W", r"\s", r"\S", r"\b", r"\B", r"\A", r"\z", r"\pL", r"\Q.\E"),
    *(r"\.", r"\-", r"\/", r"\n", r"\t", r"\x41", r"\x{e9}", r"\x{1F600}", r"\x{D800}", r"\101", r"\_", r"\ ", r"\<"),
)
CLASS_ITEMS = (
    *("a", "k", "z", "é", "-", "^", "]", "[", "&&", "~~", "--", "a-f", "A-Z", "0-9", " -/", "é-ü", r"\d", r"\W", r"\s"),
    *(r"\]", r"\-", r"\^", r"\\", r"\x41-\x43", r"\n", "[:alpha:]", "[:^digit:]", "[:word:]", "[:x:]", "[=a=]", r"\pL"),
)
classes = st.builds(
    "[{}{}]".format, st.sampled_from(("", "^")), st.lists(st.sampled_from(CLASS_ITEMS), max_size=4).map("".join)
)
REPEATS = (
    "",
    "",
    "",
    "*",
    "+",
    "?",
    "*?",
    "+?",
    "??",
    "{2}",
    "{0,1}",
    "{1,}",
    "{2,1}",
    "{,2}",
    "{ 1}",
    "{0}",
    "{01}",
    "**",
)
GROUPS = (
    "({})",
    "(?:{})",
    "(?i:{})",
    "(?s:{})",
    "(?m:{})",
    "(?P<n>{})",
    "(?<m>{})",
    "(?-s:{})",
    "(?i-m:{})",
    "(?U:{})",
)
FLAGS = ("", "", "", "(?i)", "(?s)", "(?m)", "(?im)", "(?U)", "(?-i)", "(?x)", "(?)")
patterns = st.recursive(
    st.builds("{}{}".format, st.sampled_from(ATOMS) | classes, st.sampled_from(REPEATS)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map("|".join),
        st.builds(
            lambda group, text, repeat: group.format(text) + repeat,
            st.sampled_from(GROUPS),
            inner,
            st.sampled_from(REPEATS),
        ),
    ),
    max_leaves=6,
)
anything = st.text("ak1 \n\\.*+?()[]{}^$|-<>PiQEx:", max_size=8)
CHARACTERS = 'aAkK\u212asS\u017fßẞéÉiıİI1٣_- \t\n\v\x00#&~<>="/,.{}[]()^$|*+?\\\U0001f600\u2028'
lines = st.text(CHARACTERS, max_size=8)


@given(st.builds("{}{}".format, st.sampled_from(FLAGS), patterns) | anything, st.lists(lines, min_size=1, max_size=8))
@example(r"\bé", ["é", " é", "aé"])
@example("a{1000}", ["a" * 1000, "a" * 999, "a{1000}"])
@example("a{1,02}", ["a", "a{1,02}"])  # no count begins with a nought
@settings(max_examples=500)
def test_columns_find_what_re2_finds(pattern: str, texts: list[str]) -> None:
    try:
        regex = compile_regex(pattern)
    except InvalidRegex:
        return
    translated = column_regex(pattern)
    event(f"translated: {translated is not None}")
    if translated is not None:
        found = pl.Series(texts).str.contains(translated).to_list()
        assert found == [regex.search(text) is not None for text in texts]


def named_apart(pattern: str) -> str:
    """Each group by a name of its own, among them some that give labels of one name."""
    names = (f"{underscore}{number}" for number in count() for underscore in ("", "_"))
    return re.sub(r"\(\?P<n>", lambda _: f"(?P<{next(names)}>", pattern)


CAPTURING_REPEATS = ("", "", "", "", "*", "+", "?", "+?", "??", "{2}", "{1,2}", "{1,}", "{0}")
capturing = st.recursive(
    st.builds("{}{}".format, st.sampled_from(ATOMS) | classes, st.sampled_from(CAPTURING_REPEATS)),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.lists(inner, min_size=2, max_size=3).map("|".join),
        st.builds(
            "{}{}{}{}".format,
            st.sampled_from(("(?P<n>", "(?P<n>", "(", "(?:", "(?i:", "(?U:")),
            inner,
            st.just(")"),
            st.sampled_from(CAPTURING_REPEATS),
        ),
    ),
    max_leaves=8,
).map(named_apart)


@given(
    st.builds("{}{}".format, st.sampled_from(FLAGS), capturing),
    st.lists(lines, min_size=1, max_size=8),
    st.sets(st.sampled_from(("_0", "_1", "_2"))),
)
@example(r"(?P<0>[^a]+\b|[^a]+a??)?(?P<1>.{3})+", ["\nca éa"], {"_0", "_1"})  # alternatives that begin alike
@example("(?P<0>(?P<1>b|(?:||ac*?)+){0,2}|)?", ["a"], {"_0", "_1"})  # something empty, repeated
@settings(max_examples=500)
def test_columns_capture_what_the_stage_extracts(pattern: str, texts: list[str], names: set[str]) -> None:
    try:
        compile_regex(pattern)
    except InvalidRegex:
        return
    event(f"has columns: {has_regexp_columns(pattern)}")
    if has_regexp_columns(pattern):
        found = regexp_columns(pattern, pl.Series(texts), sorted(names))
        assert found.keys() == names
        process = compile_regexp(RegexpStage(pattern))
        for row, text in enumerate(texts):
            labels = EntryLabels(0, {}, {}, Demand())
            process(text, labels)
            assert {name: column[row] for name, column in found.items()} == {name: labels.get(name) for name in names}
