"""The one shape of data: an immutable batch of one tenant's entries as columns (docs/architecture.md)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from log_aggregator.model.labels import Labels

STREAM = "stream"
TIMESTAMP = "timestamp_ns"
ARRIVAL = "arrival"
LINE = "line"
METADATA = "metadata"

# Below this, one by one they cost less than operations on columns.
_FEW_ROWS = 200
_TEXT_BYTES = [pl.col(column).str.len_bytes().cast(pl.UInt64).sum() for column in (LINE, METADATA)]

SEGMENT_SCHEMA = pl.Schema({STREAM: pl.UInt32, TIMESTAMP: pl.Int64, LINE: pl.String, METADATA: pl.String})
"""`stream` indexes the segment's streams; `metadata` is canonical JSON text of the structured metadata, "" for none."""

BATCH_SCHEMA = pl.Schema(
    {STREAM: pl.UInt32, TIMESTAMP: pl.Int64, ARRIVAL: pl.Int64, LINE: pl.String, METADATA: pl.String}
)
"""A segment's columns plus `arrival`, which orders entries of equal timestamp (`model.position`)."""


def clamped_ns(time_ns: int) -> int:
    """The nearest time that 64 bits of nanoseconds hold: beyond, there are no entries, though one may ask for them."""
    return min(max(time_ns, -(1 << 63)), (1 << 63) - 1)


@dataclass(frozen=True, slots=True)
class Segment:
    """Entries in order of arrival, with the table of streams that the `stream` column indexes."""

    streams: tuple[Labels, ...]
    frame: pl.DataFrame

    @property
    def rows(self) -> int:
        return self.frame.height

    def bounds_ns(self) -> tuple[int, int]:
        """First and last timestamp, both inclusive. The segment must not be empty."""
        times = self.frame[TIMESTAMP]
        return times.min(), times.max()  # type: ignore[return-value]

    def text_bytes(self) -> int:
        """Bytes of lines and metadata: the size that limits and triggers count."""
        if self.rows < _FEW_ROWS:
            return sum(len(text.encode()) for column in (LINE, METADATA) for text in self.frame[column].to_list())
        return sum(self.frame.select_seq(*_TEXT_BYTES).row(0))


def text_bytes_of_rows() -> pl.Expr:
    """Bytes of line and metadata of each row."""
    return (pl.col(LINE).str.len_bytes() + pl.col(METADATA).str.len_bytes()).cast(pl.UInt64)


def joined(segments: Sequence[Segment], arrivals: Sequence[int] | None = None) -> Segment:
    """One segment for several, in their order. With `arrivals`, one for each, it has that column too."""
    if len(segments) == 1 and arrivals is None:
        return segments[0]
    merged: dict[Labels, int] = {}
    renumbered = [merged.setdefault(labels, len(merged)) for segment in segments for labels in segment.streams]
    # Of all rows at once, as there may be thousands of segments with a row each; and column by column, as what works on
    # whole frames takes ten times as long as to join a few rows.
    frames = [segment.frame for segment in segments]
    names = frames[0].columns
    whole = {name: pl.concat([frame.get_column(name) for frame in frames], rechunk=True) for name in names}
    rows = [frame.height for frame in frames]
    before = np.cumsum([0, *(len(segment.streams) for segment in segments)])[:-1]
    numbers = whole[STREAM].to_numpy() + np.repeat(before, rows)
    whole[STREAM] = pl.Series(STREAM, np.array(renumbered, np.uint32)[numbers])
    if arrivals is not None:
        whole[ARRIVAL] = pl.Series(ARRIVAL, np.repeat(np.array(arrivals, np.int64), rows))
    return Segment(tuple(merged), pl.DataFrame(list(whole.values())))
