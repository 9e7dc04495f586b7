"""Records of the write-ahead log, also those of the first version."""

import io

import msgspec
import polars as pl
import pytest
import zstandard

from log_aggregator.formats.envelope import seal
from log_aggregator.formats.errors import CorruptData
from log_aggregator.formats.wal_record import MAGIC, decode_record, encode_record, joined_columns, record_of
from log_aggregator.model.segment import ARRIVAL, SEGMENT_SCHEMA, Segment, joined

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
        record = decode_record(encode_record(record_of("tenant", segment)))
        assert record.header == record_of("tenant", segment).header
        assert record.segment().streams == STREAMS
        assert record.segment().frame.equals(segment.frame)


def test_a_record_of_version_1_is_read() -> None:
    segment = segment_of(5)
    columns = io.BytesIO()
    segment.frame.write_ipc(columns, compression="uncompressed")
    body = [*record_of("tenant", segment).header, STREAMS, zstandard.compress(columns.getvalue())]
    assert decode_record(seal(MAGIC, 1, msgspec.msgpack.encode(body))).segment().frame.equals(segment.frame)


def test_columns_that_are_none_are_damage() -> None:
    body = [*record_of("tenant", segment_of(5)).header, STREAMS, zstandard.compress(b"nothing")]
    with pytest.raises(CorruptData, match="columns do not decode"):
        decode_record(seal(MAGIC, 2, msgspec.msgpack.encode(body))).segment()


@pytest.mark.parametrize("count", [1, 256, 600])
def test_columns_are_joined_as_if_all_were_tables_at_once(count: int) -> None:
    segments = [segment_of(1 + number % 3) for number in range(count)]
    records = [record_of("tenant", one) if number % 5 else one for number, one in enumerate(segments)]
    whole, expected = joined_columns(records, range(count)), joined(segments, range(count))
    assert whole.streams == expected.streams
    assert whole.frame.equals(expected.frame)
    assert whole.frame[ARRIVAL].to_list() == [number for number, one in enumerate(segments) for _ in range(one.rows)]
