"""A segment as one record of the write-ahead log. See docs/format/wal-record.md."""

import io
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
import polars as pl
import zstandard

from log_aggregator.formats.envelope import seal, unseal
from log_aggregator.formats.errors import CorruptData
from log_aggregator.model.labels import Labels
from log_aggregator.model.segment import SEGMENT_SCHEMA, Segment, joined

MAGIC = b"LAWR"
VERSION = 2
# Levels below 1 save no time worth their bytes in Redis. A table that fits into the first cache saves a tenth of it; a
# window of 128 KB costs no bytes, as what is alike in logs is near.
_COMPRESSION = zstandard.ZstdCompressionParameters.from_level(1, window_log=17, hash_log=13)
_KEPT_BYTES = 4 << 20
_FILE_MAGIC = b"ARROW1"
# A group commit holds one push at most beyond its own bound.
_MAX_COLUMNS_BYTES = 1 << 31
# As a table, a small record takes many times its size.
_DECODED_AT_ONCE = 256


class RecordHeader(NamedTuple):
    """What a reader needs to know before it decides to decode the columns. Times are inclusive nanoseconds."""

    tenant: str
    rows: int
    min_ns: int
    max_ns: int
    text_bytes: int


class _Body(msgspec.Struct, array_like=True, frozen=True):
    tenant: str
    rows: int
    min_ns: int
    max_ns: int
    text_bytes: int
    streams: list[Labels]
    columns: bytes


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Body)


@dataclass(frozen=True, slots=True, eq=False)
class WalRecord:
    """A decoded header; the columns are decoded on demand, since most records lie outside a query's range."""

    header: RecordHeader
    streams: tuple[Labels, ...]
    columns: bytes = field(repr=False)

    @property
    def rows(self) -> int:
        return self.header.rows

    def segment(self) -> Segment:
        """Raises CorruptData."""
        try:
            columns = zstandard.decompress(self.columns, _MAX_COLUMNS_BYTES)
            # Version 1 had a file where there is a stream now.
            frame = (pl.read_ipc if columns.startswith(_FILE_MAGIC) else pl.read_ipc_stream)(columns)
        except (zstandard.ZstdError, pl.exceptions.PolarsError, OSError) as error:
            raise CorruptData(f"write-ahead log record: columns do not decode: {error}") from error
        if frame.schema != SEGMENT_SCHEMA or frame.height != self.header.rows:
            raise CorruptData(f"write-ahead log record: unexpected columns {frame.schema} or rows {frame.height}")
        return Segment(self.streams, frame)


Columns = Segment | WalRecord
"""What is kept of a record: its columns, or encoded, as those of a small one would take many times its size."""


def segment_of(columns: Columns) -> Segment:
    """Raises CorruptData."""
    return columns if isinstance(columns, Segment) else columns.segment()


def joined_columns(columns: Sequence[Columns], arrivals: Sequence[int]) -> Segment:
    """One segment for those of several records, in their order, with the `arrival` of each. Raises CorruptData."""
    parts = [slice(start, start + _DECODED_AT_ONCE) for start in range(0, len(columns), _DECODED_AT_ONCE)]
    return joined([joined([segment_of(one) for one in columns[part]], arrivals[part]) for part in parts])


def record_of(tenant: str, segment: Segment) -> WalRecord:
    """The segment must not be empty."""
    header = RecordHeader(tenant, segment.rows, *segment.bounds_ns(), segment.text_bytes())
    return WalRecord(header, segment.streams, _buffers.compressed(segment.frame))


def encode_record(record: WalRecord) -> bytes:
    return seal(MAGIC, VERSION, _encoder.encode(_Body(*record.header, list(record.streams), record.columns)))


class _Buffers(threading.local):
    """Those of a thread, kept from record to record: to get memory from the system and to give it back takes longer
    than to use it.
    """

    def __init__(self) -> None:
        self._plain = io.BytesIO()
        self._compressor = zstandard.ZstdCompressor(compression_params=_COMPRESSION)

    def compressed(self, frame: pl.DataFrame) -> bytes:
        """An Arrow IPC stream, compressed in one go, which is faster than column by column."""
        try:
            self._plain.seek(0)
            frame.write_ipc_stream(self._plain, compression="uncompressed")
            with self._plain.getbuffer() as plain:
                return self._compressor.compress(plain[: self._plain.tell()])
        finally:
            if self._plain.seek(0, io.SEEK_END) > _KEPT_BYTES:
                self._plain = io.BytesIO()


_buffers = _Buffers()


def decode_record(data: bytes) -> WalRecord:
    """Raises CorruptData, UnknownVersion."""
    body = unseal("write-ahead log record", MAGIC, VERSION, data)
    try:
        decoded = _decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise CorruptData(f"write-ahead log record: {error}") from error
    header = RecordHeader(decoded.tenant, decoded.rows, decoded.min_ns, decoded.max_ns, decoded.text_bytes)
    return WalRecord(header, tuple(decoded.streams), decoded.columns)
