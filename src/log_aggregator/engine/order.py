"""The order of entries in an answer, and exact duplicates.

Entries of equal timestamp stand in order of arrival; backward is the exact mirror of forward. An entry that was pushed
twice (same stream, timestamp, line and metadata) counts once, as in Loki.
"""

from typing import Literal

import polars as pl

from log_aggregator.model.segment import ARRIVAL, LINE, METADATA, STREAM, TIMESTAMP

Direction = Literal["forward", "backward"]


def in_order(frame: pl.DataFrame, direction: Direction) -> pl.DataFrame:
    """Sorted by time, each exact duplicate once. Rows of equal time and arrival must stand in order already."""
    rows = frame.sort(TIMESTAMP, ARRIVAL, maintain_order=True)
    if rows[TIMESTAMP].is_duplicated().any():
        rows = rows.unique([STREAM, TIMESTAMP, LINE, METADATA], keep="first", maintain_order=True)
    return rows if direction == "forward" else rows.reverse()
