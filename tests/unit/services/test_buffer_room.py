"""Pushes wait for room in the buffer: in turn, not for ever, not in vain, and none for another tenant's."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from log_aggregator.services.buffer_room import BufferFull, BufferRoom

CAPACITY = 1000
LONG_SECONDS = 60.0


class Buffer:
    """What takes the room that it is given, at once."""

    def __init__(self, max_wait_seconds: float = LONG_SECONDS) -> None:
        self.held: Counter[str] = Counter()
        self.lacking = asyncio.Event()
        self.room = BufferRoom(CAPACITY, self._used, max_wait_seconds, self.lacking)

    def _used(self, tenant: str) -> tuple[int, int]:
        return self.held.total(), self.held[tenant]

    async def push(self, tenant: str, size: int) -> None:
        await self.room.wait(tenant, size)
        self.held[tenant] += size
        assert self.held.total() <= CAPACITY

    def flushed(self, tenant: str, size: int) -> None:
        self.held[tenant] -= size
        self.room.grew()

    @asynccontextmanager
    async def waiting(self, *pushes: tuple[str, int]) -> AsyncIterator[list["asyncio.Task[None]"]]:
        """The pushes, which have not found room."""
        tasks = [asyncio.create_task(self.push(*push)) for push in pushes]
        await turns()
        assert not any(task.done() for task in tasks)
        yield tasks
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def turns() -> None:
    """Until nothing can go on by itself."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_push_that_finds_no_room_asks_for_a_flush_and_gets_its_room_from_it() -> None:
    buffer = Buffer()
    await buffer.push("a", 700)
    assert not buffer.lacking.is_set()
    async with buffer.waiting(("a", 80)) as (push,):
        assert buffer.lacking.is_set()
        assert buffer.room.is_lacking
        buffer.flushed("a", 300)
        await push
    assert buffer.held["a"] == 480
    assert not buffer.room.is_lacking


async def test_those_that_wait_get_room_in_turn() -> None:
    buffer = Buffer()
    await buffer.push("a", 750)
    async with buffer.waiting(("a", 40), ("a", 40)) as (first, second):
        buffer.flushed("a", 60)
        await turns()
        assert (first.done(), second.done()) == (True, False)


async def test_a_flood_that_waits_takes_no_room_from_who_comes_later() -> None:
    buffer = Buffer()
    await buffer.push("a", 750)
    async with buffer.waiting(("a", 45), ("a", 45)):
        await buffer.push("b", 187)
    assert buffer.held == {"a": 750, "b": 187}


async def test_a_flood_leaves_others_room_to_wait() -> None:
    buffer = Buffer()
    await buffer.push("a", 750)
    async with buffer.waiting(("a", 45), ("a", 45)):
        with pytest.raises(BufferFull, match="750 of the tenant and 750 in all, with 45 more, would leave"):
            await buffer.push("a", 45)
        await buffer.push("b", 187)
        async with buffer.waiting(("b", 20)):
            pass


async def test_who_has_given_up_waiting_takes_no_room_to_wait() -> None:
    buffer = Buffer()
    await buffer.push("a", 750)
    for _ in range(3):
        async with buffer.waiting(("a", 90)):
            pass


async def test_nobody_waits_for_ever() -> None:
    buffer = Buffer(max_wait_seconds=0.01)
    await buffer.push("a", 750)
    for _ in range(3):
        with pytest.raises(BufferFull):
            await buffer.push("a", 90)


async def test_nobody_waits_while_flushes_fail() -> None:
    buffer = Buffer()
    await buffer.push("a", 700)
    async with buffer.waiting(("a", 80)) as (push,):
        buffer.room.will_not_grow()
        with pytest.raises(BufferFull):
            await push
    with pytest.raises(BufferFull):
        await buffer.push("a", 80)
    buffer.room.grew()
    async with buffer.waiting(("a", 80)):
        pass


async def test_what_is_too_large_to_wait_asks_for_a_flush_all_the_same() -> None:
    buffer = Buffer()
    await buffer.push("a", 300)
    with pytest.raises(BufferFull, match="300 of the tenant and 300 in all, with 500 more"):
        await buffer.push("a", 500)
    assert buffer.room.is_lacking
    buffer.flushed("a", 300)
    await buffer.push("a", 500)


async def test_for_what_never_has_room_nothing_is_flushed() -> None:
    buffer = Buffer()
    with pytest.raises(BufferFull):
        await buffer.push("a", 800)
    assert not buffer.room.is_lacking
