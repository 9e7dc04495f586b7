import pytest
from one_entry import passed

LOOSE = {
    # one literal and anything around it
    "4.*": ("4", "404", "140"),
    ".*4": ("4", "404", "42"),
    ".*4.*": ("4", "404"),
    "a.*?": ("ba",),
    "(?i)WARN.*": ("warn", "a Warning"),
    "(?i)[a].*": ("xa", "XA"),
    "a/b-c\\..*": ("xa/b-c.d",),
    # a common beginning, and alternatives for the rest
    "warn|warning": ("warn", "warned", "prewarning"),
    "GET|GIVE": ("GET", "FORGET", "GIVEN"),
    "x(?:a|bc)": ("xa", "1xa2", "xbcd"),
    "(?i)(?P<n>warn).*": ("prewarned",),
    "foo(?:bar)|foo": ("xfoo", "foobarx"),
    # always true
    ".*": ("", "x", "a\nb"),
    "": ("", "x"),
    ".+": ("x", "\n"),
}
EXACT = {
    "404": ("40", "4040", "1404"),
    "info|warn": ("infos", "warned", ""),
    "(info|warn)": ("infos",),
    "a|": ("ab", ""),
    "(?i)error": ("errors",),
    "40|41": ("140", "4"),
    "a|a": ("ab",),
    "x|a|ab": ("xx", "abc"),
    "foo(?:bar(|x))": ("xfoobar",),
    "4..": ("4", "1404"),
    "4[0-9]+": ("140x",),
    "a.*b.*c.*": ("xabc",),
    "foo(bar.*)": ("xfoobar",),
    ".*a.*b": ("abx",),
    "4.+": ("140",),
    "(foo|foobar).*": ("xfoo",),
    "\\d.*": ("x4",),
    "(?i)ok": ("o\u212a",),
    "(?i)s": ("\u017f",),
}
# Lines that hold what a filter looks for, and lines that do not.
LINES = {
    "error": (("an error",), ("warn",)),
    "error|": (("an error",), ("warn", "")),
    "|error|.*": (("an error",), ("warn", "")),
    ".*": (("", "x", "\n"), ()),
    ".+": (("x", "\n"), ("",)),
    "error.*(timeout|refused)": (("errorrefused",), ("error: timeout", "timeout")),
    "a(bb|cc)(dd|ee)": (("abb", "add"), ("bbdd", "a")),
    "a(bb|cc)d": (("abbd",), ("abb",)),
    "(?i)warn.*": (("a WARNing",), ("war",)),
    "(?i)k": (("K", "ok"), ("\u212a",)),
    "(?i)ok": (("o\u212a", "OK"), ("\u017fk",)),
    "(?i)s": (("S",), ("\u017f",)),
    "(?i)\u0130": (("i", "I"), ("\u0130",)),
    "(?i)\u03c2": (("\u03c3",), ("\u03a3", "\u03c2")),
    "(?i)a\u03c2": (("A\u03a3", "a\u03c3"), ("a\u03c2",)),
    "a[.]b|": (("a.b",), ("axb", "")),
    "[a]|[b]|": (("a", "c", ""), ()),
    "(?i)[k]": (("\u212a",), ()),
}


def cases(table: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    return [(pattern, value) for pattern, values in table.items() for value in values]


@pytest.mark.parametrize(("pattern", "value"), cases(LOOSE))
def test_what_is_taken_for_a_search_for_literals_matches_anywhere(pattern: str, value: str) -> None:
    assert accepts(pattern, value)


@pytest.mark.parametrize(("pattern", "value"), cases(EXACT))
def test_all_others_match_the_whole_value(pattern: str, value: str) -> None:
    assert not accepts(pattern, value)


def accepts(pattern: str, value: str) -> bool:
    positive, negative = (passed(f"| x {op} `{pattern}`", "", {"x": value}) is not None for op in ("=~", "!~"))
    assert positive is not negative
    return positive


@pytest.mark.parametrize(
    ("pattern", "line", "found"),
    [(pattern, line, found) for pattern, both in LINES.items() for found in (True, False) for line in both[not found]],
)
def test_what_line_filters_find(pattern: str, line: str, found: bool) -> None:
    assert (passed(f"|~ `{pattern}`", line) is not None) is found
    assert (passed(f"!~ `{pattern}`", line) is None) is found


OPERANDS = {
    '|= "a" or ""': ("a", "b"),
    '|= "" or "a" or ""': ("a", "b"),
    '|~ "a" or ".*"': ("a", "b"),
    '|~ "b|" or "a"': ("a", "c"),
    '|= ip("1.1.1.1") or ""': ("1.1.1.1", "b"),
}


@pytest.mark.parametrize(("stage", "kept", "lost"), [(stage, *lines) for stage, lines in OPERANDS.items()])
def test_an_operand_that_every_line_satisfies_is_ignored_beside_others(stage: str, kept: str, lost: str) -> None:
    assert passed(stage, kept) is not None
    assert passed(stage, lost) is None


def test_an_operand_that_every_line_satisfies_counts_alone() -> None:
    assert passed('|= "" or ""', "a") is not None
    assert passed('!= "a" or ""', "b") is None
