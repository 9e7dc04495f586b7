"""The order of entries in an answer, and exact duplicates.

Entries of equal timestamp stand in order of arrival, and those that arrived together by stream, so that pages of an
answer (`services.cursor`) fit together wherever the entries are kept. Backward is the exact mirror of forward. An entry
that was pushed twice (same stream, timestamp, line and metadata) counts once, as in Loki.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import polars as pl

from log_aggregator.model.labels import Labels
from log_aggregator.model.segment import ARRIVAL, LINE, METADATA, STREAM, TIMESTAMP

Direction = Literal["forward", "backward"]

_RANK = "rank"


def in_order(frame: pl.DataFrame, streams: Sequence[Labels], direction: Direction) -> pl.DataFrame:
    """Sorted by time, each exact duplicate once. Of a stream, rows of equal time and arrival stand in order already."""
    times = frame[TIMESTAMP].to_numpy()
    order = np.argsort(times, kind="stable")
    if (times[order[1:]] == times[order[:-1]]).any():
        present = sorted(frame[STREAM].unique(), key=streams.__getitem__)
        ranks = frame[STREAM].replace_strict(present, range(len(present)), return_dtype=pl.UInt32)
        by_stream = frame.with_columns(ranks.alias(_RANK))
        rows = by_stream.sort(TIMESTAMP, ARRIVAL, _RANK, maintain_order=True).drop(_RANK)
        rows = rows.unique([STREAM, TIMESTAMP, LINE, METADATA], keep="first", maintain_order=True)
        return rows if direction == "forward" else rows.reverse()
    return frame[order if direction == "forward" else order[::-1]]
