from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log_aggregator.engine.order import Direction
from log_aggregator.engine.pipeline import Row
from log_aggregator.services.cursor import (
    Cursor,
    InvalidCursor,
    TimestampTooFull,
    cursor_behind,
    decode_cursor,
    encode_cursor,
    not_given,
)

END_NS = 100


def row(timestamp_ns: int, line: str) -> Row:
    return Row(timestamp_ns, line, (("job", "a"),), {}, {})


def page(
    rows: Sequence[Row], cursor: Cursor | None, direction: Direction, limit: int
) -> tuple[Sequence[Row], Cursor | None]:
    """As `Queries` makes one from rows in the order of arrival within each timestamp."""
    start_ns, end_ns = (cursor.start_ns, cursor.end_ns) if cursor else (0, END_NS)
    inside = [one for one in sorted(rows, key=lambda one: one.timestamp_ns) if start_ns <= one.timestamp_ns < end_ns]
    ordered = inside if direction == "forward" else inside[::-1]
    found = ordered[: limit + (cursor.given if cursor else 0)]
    following = None
    if len(found) == limit + (cursor.given if cursor else 0):
        following = decode_cursor(encode_cursor(cursor_behind(found, direction, start_ns, end_ns, 0)))
    return (not_given(found, cursor) if cursor else found), following


@given(
    times=st.lists(st.integers(0, 5), max_size=30),
    late=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 6)), max_size=4),
    limit=st.integers(1, 7),
    direction=st.sampled_from(["forward", "backward"]),
)
def test_pages_hold_every_entry_once(
    times: list[int], late: list[tuple[int, int]], limit: int, direction: Direction
) -> None:
    """Entries that arrive between two pages are seen or not; they neither hide nor repeat others."""
    rows = [row(time_ns, str(number)) for number, time_ns in enumerate(times)]
    first = list(rows)
    seen: list[Row] = []
    cursor: Cursor | None = None
    pages = 0
    while pages == 0 or cursor is not None:
        given, cursor = page(rows, cursor, direction, limit)
        seen += given
        pages += 1
        # No more at once than a page holds: a cursor finds its last entry again among so many.
        rows += [row(time_ns, f"late {n}") for n, (time_ns, after) in enumerate(late) if after == pages][:limit]
    assert len(seen) == len(set(map(repr, seen)))
    assert set(map(repr, first)) <= set(map(repr, seen))
    assert [one.timestamp_ns for one in seen] == sorted(
        (one.timestamp_ns for one in seen), reverse=direction != "forward"
    )


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_deleted_last_entry_loses_no_other(direction: Direction) -> None:
    rows = [row(1, str(number)) for number in range(6)]
    given_rows, cursor = page(rows, None, direction, 2)
    assert cursor is not None
    rest, _ = page([one for one in rows if one != given_rows[-1]], cursor, direction, 9)
    assert len(rest) == 3


@pytest.mark.parametrize(
    ("direction", "start_ns", "end_ns"), [("forward", 60, 100), ("backward", 0, 41)], ids=["forward", "backward"]
)
def test_interval_goes_on_where_the_next_entry_may_be(direction: Direction, start_ns: int, end_ns: int) -> None:
    assert cursor_behind([row(50, "x")], direction, 0, END_NS, 10) == Cursor(direction, start_ns, end_ns, 0, 0)


@pytest.mark.parametrize(
    "text", ["", "x", "!!", "AAAA", "é", "lgEAAAA", encode_cursor(Cursor("forward", 5, 4, 0, 0)), "k" * 10_000]
)
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursor, match=r"^could not parse 'cursor' parameter"):
        decode_cursor(text)


def test_more_entries_of_one_timestamp_than_a_cursor_counts() -> None:
    message = r"^more than 200000 entries have the timestamp 4, .* export$"
    with pytest.raises(TimestampTooFull, match=message):
        encode_cursor(Cursor("backward", 1, 5, 200_001, 0))


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_range_beyond_64_bits_has_a_cursor(direction: Direction) -> None:
    """Where there are no entries."""
    cursor = decode_cursor(encode_cursor(cursor_behind([row(5, "a")], direction, -(1 << 70), 1 << 70, 0)))
    assert cursor.start_ns <= 5 < cursor.end_ns
