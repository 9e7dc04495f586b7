import pytest
from one_entry import passed

LOOSE = {
    # one literal and anything around it
    "4.*": ("4", "404", "140"),
    ".*4": ("4", "404", "42"),
    ".*4.*": ("4", "404"),
    "a.*?": ("ba",),
    "(?i)WARN.*": ("warn", "a Warning"),
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
