"""Memory is divided so that a small container holds what a large machine holds in proportion."""

from dataclasses import astuple

import pytest

from log_aggregator.services.memory import MemoryShares

MEBIBYTE = 1 << 20


@pytest.mark.parametrize("usable_mib", [128, 256, 512, 1024, 4096, 65_536])
def test_shares_leave_room_for_the_program_and_its_work(usable_mib: int) -> None:
    shares = MemoryShares.of(usable_mib * MEBIBYTE)
    assert 0 < sum(astuple(shares)) <= usable_mib * MEBIBYTE * 0.95


def test_shares_do_not_grow_beyond_what_is_useful() -> None:
    assert MemoryShares.of(16 << 30) == MemoryShares.of(256 << 30)
    assert MemoryShares.of(16 << 30).buffer == 512 * MEBIBYTE


def test_shares_shrink_with_the_memory() -> None:
    small, large = astuple(MemoryShares.of(512 * MEBIBYTE)), astuple(MemoryShares.of(1024 * MEBIBYTE))
    assert all(less < more for less, more in zip(small, large, strict=True))
