"""From rows of one tenant and period to a chunk: what a flush and a compaction have in common."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from log_aggregator.engine.field_columns import choose_fields, field_columns
from log_aggregator.engine.skip_filter import minimizers
from log_aggregator.formats.chunk import (
    ChunkEncoder,
    ChunkOrigin,
    EncodedChunk,
    StoredShape,
    rows_per_group,
)
from log_aggregator.formats.delta import Effort
from log_aggregator.formats.skip_filter import encode_filter
from log_aggregator.model.columns import constant
from log_aggregator.model.labels import Labels
from log_aggregator.model.segment import LINE, METADATA, STREAM, TIMESTAMP

_SUSPECT = "suspect"


def without_duplicates(frame: pl.DataFrame) -> pl.DataFrame:
    """Exact duplicates (stream, timestamp, line, metadata) once, the first arrival. Sorted by stream and time.

    Texts are compared only where a stream has several entries of one time.
    """
    streams, times_ns = frame[STREAM].to_numpy(), frame[TIMESTAMP].to_numpy()
    again = (streams[1:] == streams[:-1]) & (times_ns[1:] == times_ns[:-1])
    if not again.any():
        return frame
    rows = pl.Series(np.flatnonzero(np.append(again, False) | np.append(False, again)))
    suspects = frame.select(STREAM, TIMESTAMP, LINE, METADATA)[rows].with_row_index(_SUSPECT)
    first = suspects.unique([STREAM, TIMESTAMP, LINE, METADATA], keep="first")[_SUSPECT]
    if len(first) == len(rows):
        return frame
    kept = constant(True, frame.height, pl.Boolean).scatter(rows, False).scatter(rows.gather(first), True)
    return frame.filter(kept)


def encode_rows(
    origin: ChunkOrigin, streams: Sequence[Labels], rows: pl.DataFrame, effort: Effort
) -> tuple[EncodedChunk, tuple[Labels, ...]]:
    """The chunk, and the streams that its refs number: only those that occur. Rows as `ChunkEncoder` wants them."""
    present = rows[STREAM].unique(maintain_order=True)
    numbers = pl.Series(STREAM, range(present.len()), dtype=pl.UInt32)
    used = tuple(streams[number] for number in present)
    # Into a copy, as `with_columns` would go through the query engine, whose threads take longer to wake.
    frame = rows.clone().replace_column(rows.get_column_index(STREAM), rows[STREAM].replace_strict(present, numbers))
    choice = choose_fields(frame[LINE])
    shapes = tuple(StoredShape(one.parser, one.names, one.pattern, one.prefix) for one in choice.shapes)
    encoder = ChunkEncoder(origin, used, shapes, effort)
    hashes = []
    for group in frame.iter_slices(rows_per_group(frame)):
        fields = field_columns(group[LINE], choice)
        encoder.add(group, fields.values if fields else {}, fields.shape if fields else None)
        hashes.append(pl.concat([minimizers(group[LINE]), minimizers(group[METADATA])]))
    return encoder.finish(encode_filter(hashes)), used
