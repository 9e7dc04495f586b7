"""Regular expressions as Go's regexp package takes and matches them."""

import pytest

from log_aggregator.logql.regex import InvalidRegex, compile_bytes_regex, compile_regex, group_names


@pytest.mark.parametrize(
    ("pattern", "text", "matched"),
    [
        (r"\Qa.b\E+", "xa.bbb", "a.bbb"),
        (r"\Q(", "a(", "("),
        (r"b\z", "ab", "b"),
        (r"^b", "a\nb", None),
        (r"(?m)^b$", "a\nb", "b"),
        (r"a.b", "a\nb", None),
        (r"(?s)a.b", "a\nb", "a\nb"),
        (r"(?i)k", "\u212a", "\u212a"),
        (r"(?i)É", "é", "é"),
        (r"(?i)s", "ſ", "ſ"),
        (r"a(?i)b(?-i)c", "aBc", "aBc"),
        (r"(?U)a+", "aaa", "a"),
        (r"[[:xdigit:]]+", "xyz1F", "1F"),
        (r"[^[:space:]]+", " ab ", "ab"),
        (r"\pN+", "a1²", "1²"),
        (r"\p{Greek}+", "aδ", "δ"),
        (r"\x{e9}\x41\101", "éAA", "éAA"),
        (r"[]a]+", "]a", "]a"),
        (r"x{,3}", "x{,3}", "x{,3}"),
        (r"a{1000}", "a" * 1000, "a" * 1000),
        (r"a|ab", "ab", "a"),
        ("", "a", ""),
    ],
)
def test_matches(pattern: str, text: str, matched: str | None) -> None:
    found = compile_regex(pattern).search(text)
    assert (found and found[0]) == matched


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("(", "missing closing ): `(`"),
        ("a)b", "unexpected ): `a)b`"),
        ("[a", "missing closing ]: `[a`"),
        ("*", "missing argument to repetition operator: `*`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("x{1001}", "invalid repeat count: `{1001}`"),
        ("x{2,1}?", "invalid repeat count: `{2,1}`"),
        ("((a{100}){100}){100}", "invalid repeat count: `{100}`"),
        ("[z-a]", "invalid character class range: `z-a`"),
        ("[[:foo:]]", "invalid character class range: `[:foo:]`"),
        (r"\pé", "invalid character class range: `\\pé`"),
        (r"\p{Foo}", "invalid character class range: `\\p{Foo}`"),
        (r"\1", "invalid escape sequence: `\\1`"),
        (r"\C", "invalid escape sequence: `\\C`"),
        (r"a\Cb(", "invalid escape sequence: `\\C`"),
        (r"[\C]", "invalid escape sequence: `\\C`"),
        (r"\x{", "invalid escape sequence: `\\x{`"),
        ("a\\", "trailing backslash at end of expression: ``"),
        ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        ("(?>a)", "invalid or unsupported Perl syntax: `(?>`"),
        ("(?<=a)", "invalid named capture: `(?<=a)`"),
        ("(?<!a>)", "invalid named capture: `(?<!a>`"),
        ("(?P<a-b>x)", "invalid named capture: `(?P<a-b>`"),
        ("(?P<été>x)", "invalid named capture: `(?P<été>`"),
        ("(?P<>x)", "invalid named capture: `(?P<>`"),
        ("(?<n", "invalid named capture: `(?<n`"),
        ("[(?<=a)", "missing closing ]: `[(?<=a)`"),
        ("*(?<=a)", "missing argument to repetition operator: `*`"),
    ],
)
def test_refusals_are_in_the_words_of_go(pattern: str, problem: str) -> None:
    for _ in range(2):  # also when remembered
        with pytest.raises(InvalidRegex) as caught:
            compile_regex(pattern)
        assert str(caught.value) == f"error parsing regexp: {problem}"


def test_repetitions_are_bounded() -> None:
    with pytest.raises(InvalidRegex, match=r"^error parsing regexp: expression too large: "):
        compile_regex("a?" * 5001)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("(?P<a>x)(?<b_1>y)(z)(?:v)", ["a", "b_1"]),
        ("(?P<a>x)(?P<a>y)", ["a", "a"]),
        (r"\(?P<a>\Q(?<b>\E[(?<c>]", []),
    ],
)
def test_group_names(pattern: str, names: list[str]) -> None:
    compile_regex(pattern)
    assert group_names(pattern) == names


def test_bytes_match_bytes() -> None:
    assert compile_bytes_regex(rb"\xff|a").search(b"xa").span() == (1, 2)
    with pytest.raises(InvalidRegex, match="invalid UTF-8"):
        compile_bytes_regex(b"\xff")
