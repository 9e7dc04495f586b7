import pytest

from log_aggregator.formats.labels_text import LabelsSyntaxError, parse_labels_text
from log_aggregator.model.labels import Labels, format_labels

READABLE: dict[str, Labels] = {
    "": (),
    "  ": (),
    "{}": (),
    '{a="b"}': (("a", "b"),),
    ' { b = "2" ,\n a="1", } ': (("a", "1"), ("b", "2")),
    '{a="",b="x"}': (("b", "x"),),
    '{a="1",a="2"}': (("a", "1"), ("a", "2")),
    "{a='it\"s'}": (("a", 'it"s'),),
    r"{a=`\n`}": (("a", r"\n"),),
    r'{a="\"\\\n\t"}': (("a", '"\\\n\t'),),
    r'{a="\u00e9\x41\101\U0001F600"}': (("a", "éAA😀"),),
    r'{a="\xc3\xa9"}': (("a", "é"),),
    '{a="é"}': (("a", "é"),),
    '{"with.dot"="v"}': (("with.dot", "v"),),
}


@pytest.mark.parametrize(("text", "labels"), READABLE.items())
def test_labels_are_read_sorted_and_without_empty_values(text: str, labels: Labels) -> None:
    assert parse_labels_text(text) == labels


UNREADABLE = {
    '{a-b="c"}': "1:3: parse error: unexpected character inside braces: '-'",
    '{1a="c"}': "1:2: parse error: unexpected character inside braces: '1'",
    '{="c"}': '1:2: parse error: unexpected "=" in label set, expected identifier or "}"',
    '{__name__x="c", é="d"}': "1:17: parse error: unexpected character inside braces: 'é'",
    '{a="é", b c="d"}': '1:12: parse error: unexpected identifier "c" in label set, expected "="',
    '{a="b" c="d"}': '1:8: parse error: unexpected identifier "c" in label set, expected "," or "}"',
    "{a=b}": '1:4: parse error: unexpected identifier "b" in label set, expected string',
    "{a}": '1:3: parse error: unexpected "}" in label set, expected "="',
    '{a="b"': "1:7: parse error: unexpected end of input inside braces",
    '{a="b': "1:4: parse error: unterminated quoted string",
    "{a=`b": "1:4: parse error: unterminated raw string",
    '{\n a="b",\n %}': "3:2: parse error: unexpected character inside braces: '%'",
    '{a="b"} x': '1:9: parse error: unexpected identifier "x"',
    'x{a="b"}': '1:1: parse error: unexpected identifier "x"',
    r'{a="\q"}': r"1:4: parse error: unknown escape sequence \q",
    r'{a="\ud800"}': "1:4: parse error: escape sequence is an invalid Unicode code point",
    r'{a="\777"}': "1:4: parse error: escape sequence is an invalid Unicode code point",
    '{a="\ufffd"}': "1:4: parse error: invalid UTF-8 rune",
}


@pytest.mark.parametrize(("text", "message"), UNREADABLE.items())
def test_what_is_wrong_is_told_with_line_and_column(text: str, message: str) -> None:
    with pytest.raises(LabelsSyntaxError) as caught:
        parse_labels_text(text)
    assert str(caught.value) == message


def test_texts_too_long_for_the_cache_are_read_as_well() -> None:
    labels = tuple((f"name_{number:04}", "v" * 100) for number in range(100))
    assert parse_labels_text(format_labels(labels)) == labels
