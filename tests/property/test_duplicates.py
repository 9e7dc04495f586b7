"""What may stand in several units is looked for only where they overlap, and is found as if all were compared."""

from itertools import groupby

import polars as pl
from hypothesis import example, given
from hypothesis import strategies as st

from log_aggregator.engine.batch import Batch
from log_aggregator.model.labels import Labels
from log_aggregator.model.segment import STREAM, TIMESTAMP
from log_aggregator.services.duplicates import of_equal_time

Row = tuple[int, int]
"""A stream and a time."""

# Times that lie together here and there, so that spans touch, contain each other, and have gaps between.
ROWS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30)), max_size=12)
UNITS = st.lists(st.tuples(ROWS, st.integers(0, 40), st.booleans()), min_size=1, max_size=5)


def batch_of(rows: list[Row], *, is_sorted: bool) -> Batch:
    """With the streams numbered anew; sorted as a chunk, or as a record comes."""
    rows = sorted(rows) if is_sorted else rows
    streams = sorted({stream for stream, _ in rows}, reverse=True)
    numbered = [(streams.index(stream), time) for stream, time in rows]
    frame = pl.DataFrame(numbered, pl.Schema({STREAM: pl.UInt32, TIMESTAMP: pl.Int64}), orient="row")
    runs = tuple((stream, len(list(own))) for stream, own in groupby(stream for stream, _ in numbered))
    labels: list[Labels] = [(("stream", str(stream)),) for stream in streams]
    return Batch(tuple(labels), frame, None, runs if is_sorted else None)


@example([([(0, 0), (0, 10)], 0, True), ([(0, 2), (0, 3)], 0, True), ([(0, 5), (0, 10)], 0, True)])
@given(UNITS)
def test_rows_of_equal_time_are_those_that_a_comparison_of_all_rows_finds(
    units: list[tuple[list[Row], int, bool]],
) -> None:
    # Units that are moved apart overlap in some times only. Within a sorted one, no entry stands twice.
    moved = [
        ([(stream, time + offset) for stream, time in (sorted(set(rows)) if is_sorted else rows)], is_sorted)
        for rows, offset, is_sorted in units
    ]
    batches = [batch_of(rows, is_sorted=is_sorted) for rows, is_sorted in moved]
    found = of_equal_time(list(range(10, 10 + len(moved))), batches, {})
    by_entry: dict[Row, list[tuple[int, int]]] = {}
    for unit, (rows, is_sorted) in enumerate(moved, 10):
        for row, entry in enumerate(sorted(rows) if is_sorted else rows):
            by_entry.setdefault(entry, []).append((unit, row))
    expected = [place for places in by_entry.values() if len(places) > 1 for place in places]
    assert sorted(found.select("unit", "row").iter_rows()) == sorted(expected)
