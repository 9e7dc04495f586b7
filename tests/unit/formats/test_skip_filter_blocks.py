"""The bytes of a skip filter, block by block."""

import math

import polars as pl
import pytest

from log_aggregator.formats.errors import CorruptData
from log_aggregator.formats.skip_filter import (
    BLOCK_BYTES,
    EncodedFilter,
    SkipFilter,
    blocks_of,
    checked_block,
    decode_skip_filter,
    encode_filter,
    row_groups_with,
)

ELSEWHERE = 1_000_000  # where the filter begins in its object


def hashes_of(group: int, count: int) -> list[int]:
    return [(number * 2_654_435_761 + group * 97_003) % (1 << 32) for number in range(count)]


def encoded(counts: list[int]) -> tuple[EncodedFilter, SkipFilter]:
    found = encode_filter([pl.Series(hashes_of(*one), dtype=pl.UInt32) for one in enumerate(counts)])
    skip_filter = decode_skip_filter(found.stored_at(ELSEWHERE))
    assert skip_filter is not None
    return found, skip_filter


def groups_with(found: EncodedFilter, skip_filter: SkipFilter, hashes: list[int]) -> set[int]:
    payloads = {}
    for number, start, end in blocks_of(skip_filter, hashes):
        payloads[number] = checked_block("chunk", found.data[start - ELSEWHERE : end - ELSEWHERE])
    return row_groups_with(skip_filter, hashes, payloads)


@pytest.mark.parametrize(
    "counts", [[1], [5000], [100] * 3, [1000] * 17, [10, 20_000, 0, 700, 20_000], [3000] * 64, [0, 1, 2, 3, 4, 5]]
)
def test_each_hash_is_found_in_its_row_groups(counts: list[int]) -> None:
    found, skip_filter = encoded(counts)
    for group, count in enumerate(counts):
        for hash_ in hashes_of(group, count)[:: max(1, count // 50)]:
            assert group in groups_with(found, skip_filter, [hash_])


def test_row_groups_without_hashes_hold_nothing() -> None:
    found, skip_filter = encoded([0, 10, 0])
    assert groups_with(found, skip_filter, hashes_of(1, 3)) == {1}
    assert encoded([0, 0])[0].data == b""


def test_few_bits_are_set() -> None:
    counts = [20_000, 700, 20_000]
    found, _ = encoded(counts)
    bits = sum(bin(byte).count("1") for byte in found.data)
    assert 0.14 < bits / (8 * len(found.data)) < 0.32
    assert [matrix.row_groups for matrix in found.matrices] == [(1,), (0, 2)]


def test_a_look_up_takes_a_block_for_each_hash_and_matrix() -> None:
    found, skip_filter = encoded([20_000] * 32)
    blocks = blocks_of(skip_filter, [1, 2, 3, 4])
    assert len(blocks) <= 4 * 2
    assert len(found.data) > 50 * BLOCK_BYTES
    assert all(end - start <= BLOCK_BYTES for _, start, end in blocks)
    assert math.ceil(len(found.data) / BLOCK_BYTES) > max(number for number, _, _ in blocks)


def test_a_damaged_block_is_reported() -> None:
    found, _ = encoded([100])
    with pytest.raises(CorruptData, match="chunk a: a block of its skip filter fails its checksum"):
        checked_block("a", bytes([found.data[0] ^ 1]) + found.data[1:])


def test_what_cannot_be_read_excludes_nothing() -> None:
    assert decode_skip_filter(b"") is None
    assert decode_skip_filter(encoded([5])[0].stored_at(0).replace(b"\x93\x01", b"\x93\x02", 1)) is None
    with pytest.raises(CorruptData):
        decode_skip_filter(b"?")
