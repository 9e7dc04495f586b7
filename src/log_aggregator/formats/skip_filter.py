"""Skip filters: which row groups of a chunk may hold given hashes, read by ranges. See docs/format/skip-filter.md."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
import polars as pl
import xxhash

from log_aggregator.formats.errors import CorruptData
from log_aggregator.model.columns import constant

VERSION = 1
BLOCK_BYTES = 4096
_CHECKSUM_BYTES = 8
_PAYLOAD_BYTES = BLOCK_BYTES - _CHECKSUM_BYTES
# Of the bits of a row group at most this share is set, and more than half as much. A trace id sets four, so that one
# in 400 row groups or fewer seems to hold an id that it does not hold.
_MAX_SET = 0.3
# 128 bytes a row group, and at most 256 kB: where lines are all ids, more bits are set.
_MIN_LOG2_ROWS, _MAX_LOG2_ROWS = 10, 21
_SPREAD = 0x9E3779B1


class BitMatrix(msgspec.Struct, array_like=True, frozen=True):
    """2^log2_rows rows, one bit a row group, without gaps."""

    log2_rows: int
    row_groups: tuple[int, ...]

    @property
    def size(self) -> int:
        return len(self.row_groups) << self.log2_rows >> 3


class SkipFilter(msgspec.Struct, array_like=True, frozen=True):
    """Where the filter of a chunk lies in its object, and what it is made of. Row groups in no matrix hold nothing."""

    version: int
    start: int
    matrices: tuple[BitMatrix, ...]


@dataclass(frozen=True, slots=True)
class EncodedFilter:
    """Blocks with checksums, to be stored somewhere, and the matrices in them."""

    data: bytes = field(repr=False)
    matrices: tuple[BitMatrix, ...]

    def stored_at(self, start: int) -> bytes:
        """What leads to the filter once its data begins there."""
        return _encoder.encode(SkipFilter(VERSION, start, self.matrices))


class BlockSpan(NamedTuple):
    """A block's number in the filter, and its bytes `[start, end)` in the object."""

    number: int
    start: int
    end: int


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(SkipFilter)


def encode_filter(hashes: Sequence[pl.Series]) -> EncodedFilter:
    """`hashes` has the UInt32 hashes of each row group, in any order."""
    by_rows: dict[int, list[int]] = {}
    for number, own in enumerate(hashes):
        if len(own):
            by_rows.setdefault(_log2_rows(own), []).append(number)
    matrices = tuple(BitMatrix(log2_rows, tuple(groups)) for log2_rows, groups in sorted(by_rows.items()))
    bits = b"".join(_bits(matrix, hashes) for matrix in matrices)
    payloads = (bits[start : start + _PAYLOAD_BYTES] for start in range(0, len(bits), _PAYLOAD_BYTES))
    return EncodedFilter(b"".join(one + _checksum(one) for one in payloads), matrices)


def decode_skip_filter(data: bytes) -> SkipFilter | None:
    """None where there is none, or one of another version: then nothing can be skipped. Raises CorruptData."""
    if not data:
        return None
    try:
        found = _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise CorruptData(f"skip filter: {error}") from error
    return found if found.version == VERSION else None


def blocks_of(skip_filter: SkipFilter, hashes: Iterable[int]) -> list[BlockSpan]:
    """The blocks that tell which row groups may hold the hashes."""
    size = sum(matrix.size for matrix in skip_filter.matrices)
    numbers = {
        number
        for row in _rows(skip_filter, hashes)
        for number in range(row.first_byte // _PAYLOAD_BYTES, (row.end_byte - 1) // _PAYLOAD_BYTES + 1)
    }
    spans = []
    for number in sorted(numbers):
        start = skip_filter.start + number * BLOCK_BYTES
        length = min(_PAYLOAD_BYTES, size - number * _PAYLOAD_BYTES) + _CHECKSUM_BYTES
        spans.append(BlockSpan(number, start, start + length))
    return spans


def checked_block(chunk: str, data: bytes) -> bytes:
    """The payload of a block. Raises CorruptData when it is not what was written."""
    payload = data[:-_CHECKSUM_BYTES]
    if _checksum(payload) != data[-_CHECKSUM_BYTES:]:
        raise CorruptData(f"chunk {chunk}: a block of its skip filter fails its checksum")
    return payload


def row_groups_with(skip_filter: SkipFilter, hashes: Iterable[int], payloads: Mapping[int, bytes]) -> set[int]:
    """The row groups that may hold all the hashes, by the payloads of the blocks that `blocks_of` names."""
    left = {matrix: (1 << len(matrix.row_groups)) - 1 for matrix in skip_filter.matrices}
    for row in _rows(skip_filter, hashes):
        left[row.matrix] &= row.bits(payloads)
    return {
        number for matrix, bits in left.items() for place, number in enumerate(matrix.row_groups) if bits >> place & 1
    }


@dataclass(frozen=True, slots=True)
class _Row:
    """One row of a matrix. Bits are counted over all matrices of the filter, which begin on whole bytes."""

    matrix: BitMatrix
    first_bit: int

    @property
    def first_byte(self) -> int:
        return self.first_bit >> 3

    @property
    def end_byte(self) -> int:
        return (self.first_bit + len(self.matrix.row_groups) + 7) >> 3

    def bits(self, payloads: Mapping[int, bytes]) -> int:
        """The lowest is of the matrix's first row group."""
        data = b"".join(
            payloads[at // _PAYLOAD_BYTES][at % _PAYLOAD_BYTES :][:1] for at in range(self.first_byte, self.end_byte)
        )
        return int.from_bytes(data, "little") >> (self.first_bit & 7)


def _rows(skip_filter: SkipFilter, hashes: Iterable[int]) -> Iterator[_Row]:
    for number in set(hashes):
        start_bit = 0
        for matrix in skip_filter.matrices:
            row = (number * _SPREAD & 0xFFFF_FFFF) >> (32 - matrix.log2_rows)
            yield _Row(matrix, start_bit + row * len(matrix.row_groups))
            start_bit += matrix.size << 3


def _log2_rows(hashes: pl.Series) -> int:
    """The fewest rows of which few enough are set: 1 - exp(-distinct / rows)."""
    distinct = int(hashes.to_frame("hash").select(pl.col("hash").approx_n_unique()).item())
    rows = distinct / -math.log1p(-_MAX_SET)
    return min(max(math.ceil(math.log2(rows)), _MIN_LOG2_ROWS), _MAX_LOG2_ROWS)


def _bits(matrix: BitMatrix, hashes: Sequence[pl.Series]) -> bytes:
    width = len(matrix.row_groups)
    bits = constant(0, width << matrix.log2_rows, pl.UInt8)
    for place, number in enumerate(matrix.row_groups):
        rows = hashes[number] * _SPREAD // (1 << (32 - matrix.log2_rows))
        bits = bits.scatter(rows * width + place, 1)
    packed = bits.gather_every(8)
    for bit in range(1, 8):
        packed += bits.gather_every(8, bit) * (1 << bit)
    data: bytes = packed.implode().cast(pl.Binary).item()
    return data


def _checksum(payload: bytes) -> bytes:
    return xxhash.xxh3_64_intdigest(payload).to_bytes(_CHECKSUM_BYTES, "little")
