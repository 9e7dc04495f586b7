"""Pushes wait for room in the buffer: in turn, not for ever, not in vain, and none for another tenant's."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from log_aggregator.services.buffer_room import BufferFull, BufferRoom

CAPACITY = 100
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
        assert not self.room.is_wanted


async def turns() -> None:
    """Until nothing can go on by itself."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_push_that_finds_no_room_asks_for_a_flush_and_gets_its_room_from_it() -> None:
    buffer = Buffer()
    await buffer.push("a", 70)
    assert not buffer.lacking.is_set()
    async with buffer.waiting(("a", 10)) as (push,):
        assert buffer.lacking.is_set()
        assert buffer.room.is_wanted
        buffer.flushed("a", 30)
        await push
    assert buffer.held["a"] == 50


async def test_those_that_wait_get_room_in_turn() -> None:
    buffer = Buffer()
    await buffer.push("a", 75)
    async with buffer.waiting(("a", 6), ("a", 6)) as (first, second):
        buffer.flushed("a", 11)
        await turns()
        assert (first.done(), second.done()) == (True, False)


async def test_when_all_is_flushed_all_that_wait_get_room() -> None:
    buffer = Buffer()
    await buffer.push("a", 70)
    async with buffer.waiting(("a", 9), ("a", 9)) as pushes:
        buffer.flushed("a", 70)
        await asyncio.gather(*pushes)


async def test_who_waits_takes_no_more_than_is_left_and_leaves_others_some() -> None:
    buffer = Buffer()
    await buffer.push("a", 70)
    async with buffer.waiting(("a", 10), ("a", 10)):
        with pytest.raises(BufferFull, match="70 of the tenant and 70 in all, with 10 more, would leave"):
            await buffer.push("a", 10)
        await buffer.push("b", 7)
    assert buffer.held == {"a": 70, "b": 7}


async def test_nobody_waits_for_ever() -> None:
    buffer = Buffer(max_wait_seconds=0.01)
    await buffer.push("a", 70)
    with pytest.raises(BufferFull):
        await buffer.push("a", 10)
    assert not buffer.room.is_wanted


async def test_nobody_waits_while_flushes_fail() -> None:
    buffer = Buffer()
    await buffer.push("a", 70)
    async with buffer.waiting(("a", 10)) as (push,):
        buffer.room.will_not_grow()
        with pytest.raises(BufferFull):
            await push
    with pytest.raises(BufferFull):
        await buffer.push("a", 10)
    buffer.room.grew()
    async with buffer.waiting(("a", 10)):
        pass


async def test_what_never_has_room_does_not_wait() -> None:
    buffer = Buffer()
    with pytest.raises(BufferFull, match="0 of the tenant and 0 in all, with 80 more"):
        await buffer.push("a", 80)
