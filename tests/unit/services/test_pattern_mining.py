"""Patterns of whole chunks: a sample stands for all lines, and what is stored comes back."""

import polars as pl
import pytest

from log_aggregator.formats.errors import CorruptData
from log_aggregator.formats.patterns import StoredPattern, decode_patterns
from log_aggregator.model.segment import LINE, METADATA, SEGMENT_SCHEMA, STREAM, TIMESTAMP
from log_aggregator.services.pattern_mining import chunk_patterns, counts_of

SECOND_NS = 1_000_000_000
STREAMS = ((("app", "one"),), (("app", "two"),))


def rows(count: int, metadata: str = "") -> pl.DataFrame:
    """Half of the lines in each stream, one a second."""
    half = [(n * SECOND_NS, f"user {n} left") for n in range(count // 2)]
    return pl.DataFrame(
        {
            STREAM: [number for number in range(2) for _ in half],
            TIMESTAMP: [time for _ in range(2) for time, _ in half],
            LINE: [line for _ in range(2) for _, line in half],
            METADATA: [metadata] * len(half) * 2,
        },
        schema=SEGMENT_SCHEMA,
    )


def test_few_lines_are_all_counted() -> None:
    (one, two) = decode_patterns(chunk_patterns(STREAMS, rows(60, '{"detected_level":"warn"}')))
    assert (one.stream, two.stream) == STREAMS
    (pattern,) = one.patterns
    assert (pattern.pattern, pattern.level) == ("user <_> left", "warn")
    assert counts_of(pattern) == {0: 10, 1: 10, 2: 10}


def test_of_many_lines_a_bounded_sample_stands_for_all() -> None:
    (one, two) = decode_patterns(chunk_patterns(STREAMS, rows(100_000)))
    for of_stream in (one, two):
        (pattern,) = of_stream.patterns
        assert len(pattern.counts) <= 1024
        assert sum(pattern.counts) == pytest.approx(50_000, rel=0.01)


def test_nothing_is_stored_for_nothing() -> None:
    assert chunk_patterns(STREAMS, rows(0)) == b""
    assert decode_patterns(b"") == []


def test_times_come_back() -> None:
    assert counts_of(StoredPattern("p", "", [100, 1, 5], [1, 2, 3])) == {100: 1, 101: 2, 106: 3}


def test_broken_bytes_are_refused() -> None:
    with pytest.raises(CorruptData, match="patterns of a chunk"):
        decode_patterns(b"\x91\x01")
