"""A column of 64-bit integers as a Parquet column chunk in the encoding DELTA_BINARY_PACKED.

Polars reads this encoding but does not write it, and sorted timestamps take a fraction of their plain size in it.
Differences are packed to whole bytes, not bits, which costs nothing once the page is compressed.
Source: Encodings.md (delta encoding) and parquet.thrift of the Apache Parquet format.
"""

import struct
from array import array

import polars as pl
import zstandard

from log_aggregator.formats import thrift
from log_aggregator.formats.thrift import Field

RLE, DELTA_BINARY_PACKED = 3, 5
_DATA_PAGE = 0
_BLOCK = 1024  # values, in one miniblock; the format wants a multiple of 128


def encode_column(values: pl.Series, compression_level: int) -> tuple[bytes, int]:
    """One data page with its header, and the size that both would have without compression. No value is null."""
    body = _definition_levels(len(values)) + encode_values(values)
    compressed = zstandard.compress(body, compression_level)
    header = _page_header(len(values), len(body), len(compressed))
    return header + compressed, len(header) + len(body)


def encode_values(values: pl.Series) -> bytes:
    """Not empty. Differences must fit in 64 bits with a sign, as those of timestamps do."""
    count = len(values)
    out = bytearray()
    for number in (_BLOCK, 1, count):
        thrift.write_varint(out, number)
    thrift.write_zigzag(out, int(values[0]))
    deltas = values.diff().slice(1)
    block = pl.int_range(len(deltas), eager=True) // _BLOCK
    by_block = deltas.to_frame("delta").group_by(block, maintain_order=True)
    bounds = by_block.agg(low=pl.min("delta"), high=pl.max("delta"))
    above = array("q", (deltas - bounds["low"].gather(block)).to_list())
    above.extend([0] * (-len(above) % _BLOCK))  # blocks are whole
    data = above.tobytes()
    for number, (low, high) in enumerate(bounds.select("low", "high").iter_rows()):
        width = -(-(high - low).bit_length() // 8)
        thrift.write_zigzag(out, low)
        out.append(width * 8)
        out += _packed(data[number * _BLOCK * 8 : (number + 1) * _BLOCK * 8], width)
    return bytes(out)


def _packed(data: bytes, width: int) -> bytes:
    """The low `width` bytes of each of a block's values."""
    packed = bytearray(_BLOCK * width)
    for byte in range(width):
        packed[byte::width] = data[byte::8]
    return bytes(packed)


def _definition_levels(count: int) -> bytes:
    """That every value is there: one run of the RLE hybrid, with its length before it."""
    run = bytearray()
    thrift.write_varint(run, count << 1)
    run.append(1)
    return struct.pack("<I", len(run)) + bytes(run)


def _page_header(count: int, size: int, compressed: int) -> bytes:
    def integer(value: int) -> Field:
        return Field(thrift.I32, value)

    data_page = {1: integer(count), 2: integer(DELTA_BINARY_PACKED), 3: integer(RLE), 4: integer(RLE)}
    header = {
        1: integer(_DATA_PAGE),
        2: integer(size),
        3: integer(compressed),
        5: Field(thrift.STRUCT, data_page),
    }
    return thrift.write_struct(header)
