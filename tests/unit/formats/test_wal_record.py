"""Records of the write-ahead log, also those of the first version."""

import io

import msgspec
import polars as pl
import pytest
import zstandard

from log_aggregator.formats.envelope import seal
from log_aggregator.formats.errors import CorruptData
from log_aggregator.formats.wal_record import MAGIC, decode_record, encode_record, header_of
from log_aggregator.model.segment import SEGMENT_SCHEMA, Segment

STREAMS = ((("app", "a"),), (("app", "b"), ("pod", "1")))


def segment_of(rows: int, length: int = 10) -> Segment:
    lines = [f"{row} {'x' * length}" for row in range(rows)]
    columns = {"stream": [row % 2 for row in range(rows)], "timestamp_ns": range(rows), "line": lines}
    return Segment(STREAMS, pl.DataFrame({**columns, "metadata": [""] * rows}, schema=SEGMENT_SCHEMA))


@pytest.mark.parametrize("sizes", [(1,), (3000, 1), (10, 6_000, 10)])
def test_what_is_encoded_is_decoded(sizes: tuple[int, ...]) -> None:
    """Whatever was encoded before: what is kept for the next record must not show in it."""
    for rows in sizes:
        segment = segment_of(rows, 1000)
        record = decode_record(encode_record(header_of("tenant", segment), segment))
        assert record.header == header_of("tenant", segment)
        assert record.segment().streams == STREAMS
        assert record.segment().frame.equals(segment.frame)


def test_a_record_of_version_1_is_read() -> None:
    segment = segment_of(5)
    columns = io.BytesIO()
    segment.frame.write_ipc(columns, compression="uncompressed")
    body = [*header_of("tenant", segment), STREAMS, zstandard.compress(columns.getvalue())]
    assert decode_record(seal(MAGIC, 1, msgspec.msgpack.encode(body))).segment().frame.equals(segment.frame)


def test_columns_that_are_none_are_damage() -> None:
    body = [*header_of("tenant", segment_of(5)), STREAMS, zstandard.compress(b"nothing")]
    with pytest.raises(CorruptData, match="columns do not decode"):
        decode_record(seal(MAGIC, 2, msgspec.msgpack.encode(body))).segment()
