"""A segment as one record of the write-ahead log. See docs/format/wal-record.md."""

import io
import threading
from typing import NamedTuple

import msgspec
import polars as pl
import zstandard

from log_aggregator.formats.envelope import seal, unseal
from log_aggregator.formats.errors import CorruptData
from log_aggregator.model.labels import Labels
from log_aggregator.model.segment import SEGMENT_SCHEMA, Segment

MAGIC = b"LAWR"
VERSION = 2
# Levels below 1 save no time worth their bytes in Redis. A table that fits into the first cache saves a tenth of it; a
# window of 128 KB costs no bytes, as what is alike in logs is near.
_COMPRESSION = zstandard.ZstdCompressionParameters.from_level(1, window_log=17, hash_log=13)
_KEPT_BYTES = 4 << 20
_FILE_MAGIC = b"ARROW1"
# A group commit holds one push at most beyond its own bound.
_MAX_COLUMNS_BYTES = 1 << 31


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
    streams: list[tuple[tuple[str, str], ...]]
    columns: bytes


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Body)


class WalRecord:
    """A decoded header; the columns are decoded on demand, since most records lie outside a query's range."""

    __slots__ = ("_columns", "encoded_bytes", "header", "streams")

    def __init__(self, body: _Body, encoded_bytes: int) -> None:
        self.header = RecordHeader(body.tenant, body.rows, body.min_ns, body.max_ns, body.text_bytes)
        self.encoded_bytes = encoded_bytes
        self.streams: tuple[Labels, ...] = tuple(body.streams)
        self._columns = body.columns

    @property
    def rows(self) -> int:
        return self.header.rows

    def segment(self) -> Segment:
        """Raises CorruptData."""
        try:
            columns = zstandard.decompress(self._columns, _MAX_COLUMNS_BYTES)
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


def header_of(tenant: str, segment: Segment) -> RecordHeader:
    """The segment must not be empty."""
    return RecordHeader(tenant, segment.rows, *segment.bounds_ns(), segment.text_bytes())


def encode_record(header: RecordHeader, segment: Segment) -> bytes:
    body = _Body(*header, list(segment.streams), _buffers.compressed(segment.frame))
    return seal(MAGIC, VERSION, _encoder.encode(body))


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
        return WalRecord(_decoder.decode(body), len(data))
    except msgspec.MsgspecError as error:
        raise CorruptData(f"write-ahead log record: {error}") from error
