"""From rows of one tenant and period to a chunk: what a flush and a compaction have in common."""

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from log_aggregator.engine.field_columns import field_columns
from log_aggregator.engine.skip_filter import minimizers
from log_aggregator.formats.chunk import ChunkOrigin, EncodedChunk, StoredFields, StoredShape, encode_chunk
from log_aggregator.formats.parquet import ParquetFooter, with_section
from log_aggregator.formats.skip_filter import encode_filter
from log_aggregator.model.labels import Labels
from log_aggregator.model.segment import LINE, METADATA, STREAM, TIMESTAMP


def without_duplicates(frame: pl.DataFrame) -> pl.DataFrame:
    """Exact duplicates (stream, timestamp, line, metadata) once, the first arrival. Sorted by stream and time."""
    same = (pl.col(STREAM) == pl.col(STREAM).shift(1)) & (pl.col(TIMESTAMP) == pl.col(TIMESTAMP).shift(1))
    if not frame.select(same.any()).item():
        return frame
    return frame.unique([STREAM, TIMESTAMP, LINE, METADATA], keep="first", maintain_order=True)


def encode_rows(
    origin: ChunkOrigin, streams: Sequence[Labels], rows: pl.DataFrame, compression_level: int
) -> tuple[EncodedChunk, tuple[Labels, ...]]:
    """The chunk, and the streams that its refs number: only those that occur. Rows as `encode_chunk` wants them."""
    present = rows[STREAM].unique(maintain_order=True)
    numbers = pl.Series(STREAM, range(present.len()), dtype=pl.UInt32)
    used = tuple(streams[number] for number in present)
    frame = rows.with_columns(rows[STREAM].replace_strict(present, numbers))
    chunk = encode_chunk(origin, used, frame, _fields(frame), compression_level)
    return _with_skip_filter(chunk, frame), used


def _with_skip_filter(chunk: EncodedChunk, frame: pl.DataFrame) -> EncodedChunk:
    """The chunk with a skip filter of its lines and metadata between its row groups and its footer."""
    hashes, start = [], 0
    for group in ParquetFooter(chunk.footer).row_groups:
        rows = frame.slice(start, group.rows)
        hashes.append(pl.concat([minimizers(rows[LINE]), minimizers(rows[METADATA])]))
        start += group.rows
    encoded = encode_filter(hashes)
    data, start = with_section(chunk.data, encoded.data)
    return replace(chunk, data=data, skip_filter=encoded.stored_at(start))


def _fields(frame: pl.DataFrame) -> StoredFields:
    columns = field_columns(frame[LINE])
    shapes = tuple(StoredShape(one.parser, one.names, one.pattern, one.prefix) for one in columns.shapes)
    return StoredFields(shapes, columns.shape, columns.values)
