"""Patterns of lines."""

import pytest

from log_aggregator.engine.line_filter import pattern_holds
from log_aggregator.engine.log_patterns import RESOLUTION_NS, PatternMiner
from log_aggregator.logql.pattern import parse_line_pattern


def mined(*lines: str) -> list[str]:
    miner = PatternMiner()
    for line in lines:
        miner.add_line(line, "", 0)
    return [pattern for pattern, _, _ in miner.patterns()]


@pytest.mark.parametrize(
    ("lines", "patterns"),
    [
        ((), []),
        (("", "   "), []),
        (("the same", "the same"), ["the same"]),
        (("user 17 logged in", "user 4 logged in"), ["user <_> logged in"]),
        (("one thing", "some other thing"), ["one thing", "some other thing"]),
        (("a  b 1", "a b 1"), ["a  b 1", "a b 1"]),
        (("GET /a 200 5ms", "GET /a 404 7ms"), ["GET /a <_> <_>"]),
        (("level=info n=1 took=3ms", "level=info n=22 took=41ms"), ["level=info n=<_> took=<_>"]),
        (('{"msg":"job 1 done","t":1}', '{"t":2,"msg":"job 2 done"}'), ["<_>job <_> done<_>"]),
        (('{"content":"c","message":"m"}',), ["<_>m<_>"]),
        (('{"n":1}',), []),
        (("x" * 4000,), []),
        ((" ".join(["word"] * 200),), [" ".join(["word"] * 127) + " <_>"]),
    ],
)
def test_patterns(lines: tuple[str, ...], patterns: list[str]) -> None:
    assert mined(*lines) == patterns


def test_lines_pass_the_filter_of_their_pattern() -> None:
    lines = [f'10.0.0.{n} - - [01/Jan/2026:00:00:{n:02}] "GET /items/{n} HTTP/1.1" {200 + n} {n}' for n in range(1, 60)]
    (pattern,) = mined(*lines)
    assert all(pattern_holds(parse_line_pattern(pattern), line) for line in lines)


def test_counts_are_kept_by_level_and_time() -> None:
    miner = PatternMiner()
    miner.add_line("user 1 left", "info", RESOLUTION_NS - 1)
    miner.add_line("user 2 left", "info", RESOLUTION_NS, weight=5)
    miner.add_line("user 3 left", "warn", RESOLUTION_NS)
    assert list(miner.patterns()) == [("user <_> left", "info", {0: 1, 1: 5}), ("user <_> left", "warn", {1: 1})]


def test_patterns_of_several_miners_are_merged() -> None:
    miner = PatternMiner()
    miner.add_pattern("user <_> left", "", {0: 3})
    miner.add_pattern("user 7 left", "", {0: 1, 4: 2})
    miner.add_pattern("<_>job <_> done<_>", "", {0: 1})
    miner.add_pattern("<_>job <_> done<_>", "", {0: 1})
    assert list(miner.patterns()) == [("user <_> left", "", {0: 4, 4: 2}), ("<_>job <_> done<_>", "", {0: 2})]


def test_number_of_patterns_is_bounded() -> None:
    assert len(mined(*(f"w{chr(97 + n % 26)} " * (n // 26 + 1) for n in range(2000)))) <= 300
