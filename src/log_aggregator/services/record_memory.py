"""What the records of a write-ahead log take in memory while they wait to be flushed, as measured."""

from collections.abc import Sequence
from itertools import chain
from sys import getsizeof

from log_aggregator.formats.wal_record import Columns
from log_aggregator.model.labels import Labels
from log_aggregator.model.segment import Segment

# A row beside its text: stream, timestamp, two string views. Without them, empty lines would be free.
_ROW_BYTES = 48
# A record beside its rows and streams: encoded, and as a table.
_RECORD_BYTES = 1_000
_TABLE_BYTES = 13_500
# A small one stays encoded.
_SMALL_BYTES = 4_096
_STREAM_BYTES = 100
_LABEL_BYTES = 80  # beside its texts
_ASCII_BYTES = getsizeof("")


def is_small(rows: int, text_bytes: int) -> bool:
    """Whether it takes less memory encoded."""
    return text_bytes + rows * _ROW_BYTES <= _SMALL_BYTES


def memory_bytes(columns: Columns, text_bytes: int) -> int:
    """Of one record: a table, or encoded."""
    record = _TABLE_BYTES if isinstance(columns, Segment) else _RECORD_BYTES
    return record + text_bytes + columns.rows * _ROW_BYTES + _streams_bytes(columns.streams)


def _streams_bytes(streams: Sequence[Labels]) -> int:
    # No sharing is assumed: each push brings its own.
    texts = list(chain.from_iterable(chain.from_iterable(streams)))
    if all(map(str.isascii, texts)):  # `getsizeof` takes three times as long
        sizes = len(texts) * _ASCII_BYTES + sum(map(len, texts))
    else:
        sizes = sum(map(getsizeof, texts))
    return len(streams) * _STREAM_BYTES + len(texts) // 2 * _LABEL_BYTES + sizes
