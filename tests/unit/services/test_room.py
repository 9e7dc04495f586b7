"""Memory that tenants share: one alone gets most of it, and a flood leaves some for those who come later."""

import pytest

from log_aggregator.services.room import Room


def filled(room: Room, *tenants: str) -> list[int]:
    """What each gets of tenants that take all they can, piece by piece."""
    got = [0] * len(tenants)
    while any(took := [room.take(tenant, 100) for tenant in tenants]):
        got = [before + 100 * more for before, more in zip(got, took, strict=True)]
    return got


def test_tenant_alone_gets_three_quarters() -> None:
    assert filled(Room(100_000), "a") == [75_000]
    assert Room(1000).take("a", 750)
    assert not Room(1000).take("a", 751)


@pytest.mark.parametrize("flooding", [1, 2, 5, 20])
def test_flood_leaves_room_for_a_tenant_that_comes_later(flooding: int) -> None:
    room = Room(1_000_000)
    held = filled(room, *(f"flood {number}" for number in range(flooding)))
    assert max(held) - min(held) <= 100
    assert filled(room, "late")[0] > min(held) / 10


def test_room_is_never_more_than_there_is() -> None:
    room = Room(1000)
    for number in range(10_000):
        room.take(str(number), 1)
    assert room.used_bytes <= 1000


def test_what_is_given_back_can_be_taken_again() -> None:
    room = Room(1000)
    assert room.take("a", 700)
    assert not room.take("b", 280)
    room.give_back("a", 700)
    assert room.used_bytes == 0
    assert room.take("b", 280)
