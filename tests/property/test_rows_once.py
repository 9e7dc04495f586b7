"""Exact duplicates are stored once, the first arrival of each."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from log_aggregator.model.segment import ARRIVAL, BATCH_SCHEMA, LINE, METADATA, STREAM, TIMESTAMP
from log_aggregator.services.chunk_rows import without_duplicates

_ROWS = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 2), st.sampled_from(["", "a", "b"]), st.sampled_from(["", "m"])),
    max_size=30,
)


@given(_ROWS)
def test_exact_duplicates_count_once(rows: list[tuple[int, int, str, str]]) -> None:
    frame = pl.DataFrame(
        [
            {STREAM: stream, TIMESTAMP: time_ns, ARRIVAL: arrival, METADATA: metadata, LINE: line}
            for arrival, (stream, time_ns, line, metadata) in enumerate(rows)
        ],
        BATCH_SCHEMA,
    ).sort(STREAM, TIMESTAMP, ARRIVAL)
    seen: dict[tuple[object, ...], int] = {}
    for arrival, row in enumerate(rows):
        seen.setdefault(row, arrival)
    assert without_duplicates(frame).equals(frame.filter(pl.col(ARRIVAL).is_in(list(seen.values()))))
