"""Columns as Parquet column chunks in the delta encodings, of one page each.

Polars reads these encodings but does not write them. Sorted timestamps take a fraction of their plain size as
differences; texts of digits that hardly repeat take two thirds of what a dictionary of them takes, with their lengths
apart. Differences are packed to whole bytes, not bits, which costs nothing once the page is compressed.
Source: Encodings.md (delta encoding, delta-length byte array) and parquet.thrift of the Apache Parquet format.
"""

import struct
from array import array
from functools import reduce
from operator import or_

import polars as pl
import zstandard

from log_aggregator.formats import thrift
from log_aggregator.formats.parquet import ColumnChunk
from log_aggregator.formats.thrift import Field

_RLE, _DELTA_BINARY_PACKED, _DELTA_LENGTH_BYTE_ARRAY = 3, 5, 6
_DATA_PAGE = 0
# Values in a block, which is one miniblock. The format wants a multiple of 128.
_BLOCK_OF_TIMES = 1024
_UNIT = 128


def integer_column(values: pl.Series, compression_level: int) -> ColumnChunk:
    """64-bit integers, none of them null, in place of a column of the same."""
    return _column(
        values, _encoded(values, _BLOCK_OF_TIMES), _DELTA_BINARY_PACKED, compression_level, keeps_statistics=True
    )


def text_column(values: pl.Series, compression_level: int) -> ColumnChunk:
    """Texts and nulls, but not nulls alone, in place of any column of texts."""
    texts = values.drop_nulls()
    lengths = _encoded(texts.str.len_bytes().cast(pl.Int64), -(-len(texts) // _UNIT) * _UNIT)
    encoded = lengths + str(texts.str.join("").item()).encode()
    return _column(values, encoded, _DELTA_LENGTH_BYTE_ARRAY, compression_level, keeps_statistics=False)


def _column(
    values: pl.Series, encoded: bytes, encoding: int, compression_level: int, *, keeps_statistics: bool
) -> ColumnChunk:
    body = _definition_levels(values.is_not_null()) + encoded
    # Digits without an order take less space at the lowest level than at a high one, and differences do not.
    compressed = min((zstandard.compress(body, level) for level in {1, compression_level}), key=len)
    header = _page_header(len(values), len(body), len(compressed), encoding)
    return ColumnChunk(header + compressed, len(header) + len(body), (_RLE, encoding), keeps_statistics)


def _encoded(values: pl.Series, block: int) -> bytes:
    """Not empty, in blocks of so many values. Differences must fit in 64 bits with a sign, as those of times do."""
    out = bytearray()
    for number in (block, 1, len(values)):
        thrift.write_varint(out, number)
    thrift.write_zigzag(out, int(values[0]))
    differences = values.diff().slice(1)
    for start in range(0, len(differences), block):
        part = differences.slice(start, block)
        low, high = int(part.min()), int(part.max())  # type: ignore[arg-type]
        width = -(-(high - low).bit_length() // 8)
        thrift.write_zigzag(out, low)
        out.append(width * 8)
        packed = _packed(part - low, width)  # modulo 2^64, if the differences are so far apart
        out += packed.ljust(block * width, b"\0")  # blocks are whole
    return bytes(out)


def _packed(values: pl.Series, width: int) -> bytes:
    """The low `width` bytes of each."""
    if width <= 1:
        return bytes(values.cast(pl.UInt8).to_list()) if width else b""
    data = array("q", values.to_list()).tobytes()
    packed = bytearray(len(values) * width)
    for byte in range(width):
        packed[byte::width] = data[byte::8]
    return bytes(packed)


def _definition_levels(is_there: pl.Series) -> bytes:
    """A bit for each value, as one run of the RLE hybrid with its length before it."""
    run = bytearray()
    if is_there.all():
        thrift.write_varint(run, len(is_there) << 1)
        run.append(1)
    else:
        octets = _bits(is_there)
        thrift.write_varint(run, len(octets) << 1 | 1)
        run += octets
    return struct.pack("<I", len(run)) + run


def _bits(flags: pl.Series) -> bytes:
    """Eight to the byte, the first in the lowest bit."""
    bits = flags.cast(pl.UInt8).extend_constant(0, -len(flags) % 8)
    octets = reduce(or_, (bits.gather_every(8, bit) * (1 << bit) for bit in range(8)))
    return bytes(octets.to_list())


def _page_header(count: int, size: int, compressed: int, encoding: int) -> bytes:
    def integer(value: int) -> Field:
        return Field(thrift.I32, value)

    data_page = {1: integer(count), 2: integer(encoding), 3: integer(_RLE), 4: integer(_RLE)}
    header = {
        1: integer(_DATA_PAGE),
        2: integer(size),
        3: integer(compressed),
        5: Field(thrift.STRUCT, data_page),
    }
    return thrift.write_struct(header)
