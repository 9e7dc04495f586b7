"""Columns as Parquet column chunks in the delta encodings, compressed as Polars cannot.

Polars reads these encodings but does not write them. Sorted timestamps take a fraction of their plain size as
differences. Texts with their lengths apart take less than with a length before each: lines a twentieth less, digits
that hardly repeat two thirds of what a dictionary of them takes. Differences are packed to whole bytes, not bits, which
costs nothing once the page is compressed.
Source: Encodings.md (delta encoding, delta-length byte array) and parquet.thrift of the Apache Parquet format.
"""

import itertools
import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import zstandard
from numpy.typing import NDArray

from log_aggregator.formats import thrift
from log_aggregator.formats.parquet import ColumnChunk
from log_aggregator.formats.thrift import Field

_RLE, _DELTA_BINARY_PACKED, _DELTA_LENGTH_BYTE_ARRAY = 3, 5, 6
_DATA_PAGE = 0
# Values in a block, which is one miniblock. The format wants a multiple of 128.
_BLOCK_OF_TIMES = 1024
_UNIT = 128
# Texts of a page, but for one that is longer. Smaller ones leave more bytes; larger ones take new memory from the
# system each time.
_PAGE_TEXT_BYTES = 2 << 20


@dataclass(frozen=True, slots=True)
class Effort:
    """What compression may cost: zstd's parameters for what is written here, its level for what Polars writes."""

    parameters: zstandard.ZstdCompressionParameters
    level: int


# Matches of three to five bytes, as zstd's levels look for, are chance among the digits of logs, and push out better
# ones; far ones cost more bits than they save. Measured on JSON, logfmt, nginx and the samples of sixteen systems in
# Loghub, against level 1 of plain pages: 4 to 5 % less, for a tenth less CPU.
QUICK = Effort(
    zstandard.ZstdCompressionParameters(strategy=zstandard.STRATEGY_FAST, window_log=20, hash_log=13, min_match=7),
    1,
)
# Against level 10 of plain pages: 4 to 6 % less, for hardly more CPU. Trees or optimal parsing take twice that or more
# for another percent. A smaller hash leaves some percent less of made-up logs, up to twice as much of some of Loghub.
THOROUGH = Effort(
    zstandard.ZstdCompressionParameters(
        strategy=zstandard.STRATEGY_LAZY2, window_log=19, hash_log=16, search_log=6, min_match=6
    ),
    10,
)


def integer_column(values: pl.Series, effort: Effort) -> ColumnChunk:
    """64-bit integers, none of them null, in place of a column of the same."""
    numbers = _encoded(values.to_numpy(), _BLOCK_OF_TIMES)
    page = _page(values, [numbers], _DELTA_BINARY_PACKED, [effort])
    return _column([page], _DELTA_BINARY_PACKED, keeps_statistics=True)


def text_column(values: pl.Series, efforts: Collection[Effort]) -> ColumnChunk:
    """Texts and nulls in place of any column of texts, by whichever effort leaves least."""
    pages = [_text_page(part, efforts) for part in _pages(values)]
    return _column(pages, _DELTA_LENGTH_BYTE_ARRAY, keeps_statistics=False)


@dataclass(frozen=True, slots=True)
class _Page:
    data: bytes
    plain_bytes: int  # with its header


def _pages(values: pl.Series) -> list[pl.Series]:
    """The rows of each page."""
    lengths = values.str.len_bytes().fill_null(0).to_numpy().astype(np.int64)
    number = (lengths.cumsum() - lengths) // _PAGE_TEXT_BYTES
    edges = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(values)]
    return [values.slice(start, end - start) for start, end in itertools.pairwise(edges)]


def _text_page(values: pl.Series, efforts: Collection[Effort]) -> _Page:
    texts = values.drop_nulls()
    lengths = _encoded(texts.str.len_bytes().to_numpy().astype(np.int64), -(-len(texts) // _UNIT) * _UNIT or _UNIT)
    joined = bytes(texts.str.join("").cast(pl.Binary).item())
    return _page(values, [lengths, joined], _DELTA_LENGTH_BYTE_ARRAY, efforts)


def _page(values: pl.Series, encoded: Sequence[bytes], encoding: int, efforts: Collection[Effort]) -> _Page:
    parts = [_definition_levels(values.is_not_null()), *encoded]
    size = sum(map(len, parts))
    compressed = min((_compressed(parts, size, effort) for effort in efforts), key=len)
    header = _page_header(len(values), size, len(compressed), encoding)
    return _Page(header + compressed, len(header) + size)


def _compressed(parts: Sequence[bytes], size: int, effort: Effort) -> bytes:
    """One frame. Each part begins a block, as what is common in one is not in the next."""
    compressor = zstandard.ZstdCompressor(compression_params=effort.parameters).compressobj(size=size)
    pieces = []
    for part in parts:
        pieces += [compressor.compress(part), compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)]
    return b"".join((*pieces, compressor.flush()))


def _column(pages: Sequence[_Page], encoding: int, *, keeps_statistics: bool) -> ColumnChunk:
    plain_bytes = sum(page.plain_bytes for page in pages)
    return ColumnChunk(b"".join(page.data for page in pages), plain_bytes, (_RLE, encoding), keeps_statistics)


def _encoded(values: NDArray[np.int64], block: int) -> bytes:
    """In blocks of so many values. Differences must fit in 64 bits with a sign, as those of times do."""
    out = bytearray()
    for number in (block, 1, len(values)):
        thrift.write_varint(out, number)
    thrift.write_zigzag(out, int(values[0]) if len(values) else 0)
    differences = np.diff(values)
    for start in range(0, len(differences), block):
        part = differences[start : start + block]
        low, high = int(part.min()), int(part.max())
        width = -(-(high - low).bit_length() // 8)
        thrift.write_zigzag(out, low)
        out.append(width * 8)
        packed = _packed(part - low, width)  # modulo 2^64, if the differences are so far apart
        out += packed.ljust(block * width, b"\0")  # blocks are whole
    return bytes(out)


def _packed(values: NDArray[np.int64], width: int) -> bytes:
    """The low `width` bytes of each."""
    return values.astype("<i8").view(np.uint8).reshape(-1, 8)[:, :width].tobytes()


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
    return np.packbits(flags.to_numpy(), bitorder="little").tobytes()


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
