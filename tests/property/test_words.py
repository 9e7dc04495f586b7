"""A line that has a shape of text has the words in it that a pattern captures."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from log_aggregator.engine.fields import extract
from log_aggregator.engine.shapes import compiled
from log_aggregator.engine.text_stages import captures
from log_aggregator.engine.words import captured_words, discover_text, up_to
from log_aggregator.logql.pattern import InvalidPattern, parse_pattern

ACCESS = '10.0.0.1 - - [15/Jan/2026:10:00:00 +0000] "GET /x?a=1 HTTP/1.1" 200 512'
WORDS = ("a", "-", "--", "200", "x=y", "é", "{b", "b{", "a:b", ".", "\\", "\ufffd", "(", "a.b*")
BETWEEN = (" ", "  ", ' "', '" ', " [", "] ", "]", '"', "\t", "\n", ' - "')
pieces = st.tuples(st.sampled_from(WORDS), st.sampled_from(BETWEEN))
lines = st.builds(
    lambda start, middle, end: start + "".join(word + between for word, between in middle) + end,
    st.sampled_from(("", "", "", "[", '"', " ", "{")),
    st.lists(pieces, min_size=1, max_size=6),
    st.sampled_from(WORDS),
)
literals = st.builds(
    lambda parts: "".join(word + between for word, between in parts), st.lists(pieces, max_size=1)
) | st.sampled_from((*BETWEEN, *WORDS, "- ", ' "', " - ", "a", ": "))


@st.composite
def patterns(draw: st.DrawFn) -> str:
    """Of a line with some words taken out, or of anything."""
    text = draw(st.sampled_from(("", "", "a ", "[")))
    for name in draw(st.lists(st.sampled_from(("<a>", "<b>", "<c>", "<_>", "<_>")), min_size=1, max_size=5)):
        text += name + draw(literals)
    return text


@given(model=lines, others=st.lists(lines, max_size=5), pattern=patterns(), stored=st.sets(st.integers(1, 6)))
@settings(max_examples=500)
def test_captures_are_words(model: str, others: list[str], pattern: str, stored: set[int]) -> None:
    try:
        parsed = parse_pattern(pattern)
        parsed.check_captures()
    except InvalidPattern:
        return
    shapes = [shape for _, shape in discover_text([model])]
    shapes += [cut for shape in shapes if (cut := up_to(shape, set(map(str, stored)))) is not None]
    for shape in shapes:
        assert compiled(shape).fullmatch(model)
        captured = captured_words(pattern, shape)
        for line in (model, *others):
            found = compiled(shape).fullmatch(line)
            if found is None:
                continue
            words = dict(zip(shape.names, found.groups(), strict=True))
            expected = dict(captures(parsed, line))
            values = {name: words.get(str(word), word) for name, word in captured.items()}
            assert {
                name: value for name, value in values.items() if not isinstance(value, int)
            }.items() <= expected.items()


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (
            '<ip> - - [<_>] "<method> <path> <_>" <status> <size>',
            {"ip": 1, "method": 6, "path": 7, "status": 9},
        ),
        ("<ip> <ident> <user> <_>", {"ip": 1, "ident": "-", "user": "-"}),
        ('<_>"<request>" <status> <_>', {"status": 9}),  # the request is three words
        ("10.0.0.1 <rest>", {}),
        ("<host>:<port> <_>", {}),  # a colon may be in a word, or not
        ("<_>+0000] <_>", {}),
        ("<_> <_> <_> [<date>:<_>] <_>", {}),
        ("<_>; <_>", {}),
    ],
)
def test_patterns_of_an_access_log(pattern: str, expected: dict[str, int | str]) -> None:
    ((_, shape),) = discover_text([ACCESS])
    assert captured_words(pattern, shape) == expected


def test_shapes_are_as_long_as_lines_are_alike() -> None:
    agents = ("curl/8", "Mozilla/5.0 (X11; Linux x86_64)", 'Go-http-client/1.1 (linux amd64) "x"')
    sample = [f'{ACCESS} "{agents[number % 3]}"' for number in range(60)]
    sample += [f'::1 - ann [x +0000] "-" 408 {number} "-"' for number in range(30)]
    sample += ['{"a":"[x] y z"}', "a=1 [b] c d", "plain text without marks", "[short]", ""]
    found = discover_text(sample)
    assert [count for count, _ in found] == [60, 30]
    assert [shape.names[-1] for _, shape in found] == ["10", "8"]
    (_, access), (_, timeout) = found
    cut = up_to(access, {"6", "9"})
    assert cut is not None
    assert cut.names == ("1", "4", "5", "6", "7", "8", "9")
    assert up_to(timeout, {"99"}) is None
    words = extract(pl.Series(sample[58:62]), [cut, timeout], ["7", "9"])
    assert words.shape.to_list() == [1, 1, 2, 2]
    assert words.values["7"].to_list() == ["/x?a=1", "/x?a=1", "408", "408"]
    assert words.values["9"].to_list() == ["200", "200", None, None]
