"""What waits to be flushed is counted at no less than it takes."""

import gc
import tracemalloc

import polars as pl
import pytest

from log_aggregator.formats.wal_record import decode_record, encode_record, record_of
from log_aggregator.model.segment import SEGMENT_SCHEMA, Segment
from log_aggregator.services.record_memory import memory_bytes

RECORDS = 50


def encoded(streams: int, labels: int, length: int, letter: str) -> bytes:
    table = tuple(
        tuple((f"{letter}_{label:02}", f"{stream} {label} {letter * length}") for label in range(labels))
        for stream in range(streams)
    )
    columns = {"stream": range(streams), "timestamp_ns": [1] * streams, "line": ["line"] * streams}
    segment = Segment(table, pl.DataFrame({**columns, "metadata": [""] * streams}, schema=SEGMENT_SCHEMA))
    return encode_record(record_of("tenant", segment))


@pytest.mark.parametrize(("streams", "labels", "length"), [(1, 2, 5), (1, 15, 1000), (80, 12, 20), (80, 1, 1)])
@pytest.mark.parametrize("letter", ["v", "é", "日", "🙂"])
def test_small_records_are_counted_with_their_streams(streams: int, labels: int, length: int, letter: str) -> None:
    data = encoded(streams, labels, length, letter)
    decode_record(data)
    gc.collect()
    tracemalloc.start()
    try:
        records = [decode_record(data) for _ in range(RECORDS)]
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    counted = sum(memory_bytes(record, record.header.text_bytes) for record in records)
    assert taken <= counted <= 3 * taken
