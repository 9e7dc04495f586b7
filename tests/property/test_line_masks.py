"""`|>` and `ip("...")` over columns are those of single lines, where literals repeat and addresses are nearly such."""

from ipaddress import IPv4Address, IPv6Address

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from log_aggregator.engine.columnar import line_filter_expression
from log_aggregator.engine.line_filter import compile_line_filter
from log_aggregator.logql.ast import LineFilterStage, LineOperand
from log_aggregator.logql.pattern import InvalidPattern, parse_line_pattern
from log_aggregator.model.segment import LINE

texts = st.lists(st.sampled_from(("a", "b", "ab", "aa", " ", "é", "\ufffd", "\n")), max_size=9).map("".join)
literals = texts.filter(bool)


def is_line_pattern(text: str) -> bool:
    try:
        parse_line_pattern(text)
    except InvalidPattern:
        return False
    return True


patterns = st.lists(literals | st.just("<_>"), max_size=6).map("".join).filter(is_line_pattern)


@st.composite
def pattern_and_lines(draw: st.DrawFn) -> tuple[str, list[str]]:
    """Lines that are mostly what the pattern describes."""
    pattern = draw(patterns)
    like = st.builds(
        str.__add__,
        st.tuples(
            *(st.just(part) if isinstance(part, str) else texts for part in parse_line_pattern(pattern).parts)
        ).map("".join),
        texts | st.just(""),
    )
    return pattern, draw(st.lists(like | texts, max_size=12))


octets = st.sampled_from((0, 1, 9, 10, 11, 16, 31, 172, 255)) | st.integers(0, 255)
ipv4 = st.tuples(octets, octets, octets, octets).map(lambda four: IPv4Address(bytes(four)))
groups = st.sampled_from((0, 0, 0, 1, 0xDB8, 0x2001, 0xFE80, 0xFFFF))
ipv6 = st.lists(groups, min_size=8, max_size=8).map(
    lambda eight: IPv6Address(b"".join(group.to_bytes(2) for group in eight))
)


@st.composite
def address_pattern(draw: st.DrawFn) -> str:
    low, high = sorted(draw(st.tuples(ipv4, ipv4) | st.tuples(ipv6, ipv6)))
    length = draw(st.sampled_from((0, 8, 12, 16, 24, 32)) | st.integers(0, low.max_prefixlen))
    return draw(st.sampled_from((f"{low}", f"{low}-{high}", f"{low}/{length}", f"{high}/{length}")))


spelt = (ipv4 | ipv6).flatmap(lambda one: st.sampled_from((str(one), one.exploded, one.exploded.upper())))
crumbs = st.sampled_from(
    ("1", "10", "01", "256", "999", "a", "F", "00001", ":", "::", ".", "..", " ", '"', "g", "%", "é", "\ufffd", "\n")
)
address_lines = st.lists(spelt | crumbs, max_size=6).map("".join)


def assert_same(stage: LineFilterStage, lines: list[str]) -> None:
    frame = pl.DataFrame({LINE: lines}, schema={LINE: pl.String})
    mask = frame.select(line_filter_expression(stage)).to_series().to_list()
    assert mask == list(map(compile_line_filter(stage), lines))


@given(pattern_and_lines(), patterns, st.booleans())
def test_lines_like_a_pattern(drawn: tuple[str, list[str]], other: str, negated: bool) -> None:
    pattern, lines = drawn
    op = "!>" if negated else "|>"
    assert_same(LineFilterStage(op, (LineOperand(pattern),)), lines)
    assert_same(LineFilterStage(op, (LineOperand(pattern), LineOperand(other))), lines)


@given(address_pattern(), st.lists(address_lines, max_size=12), st.sampled_from((" ", "10", "a")), st.booleans())
def test_lines_with_an_address(pattern: str, lines: list[str], other: str, negated: bool) -> None:
    op = "!=" if negated else "|="
    lines += [around + pattern.split("/")[0].split("-")[0] + around for around in ("", " ", "1", ":")]
    assert_same(LineFilterStage(op, (LineOperand(pattern, is_ip=True),)), lines)
    assert_same(LineFilterStage(op, (LineOperand(pattern, is_ip=True), LineOperand(other))), lines)
