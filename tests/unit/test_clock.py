"""Deadlines of tasks that were marked as cancelled before."""

import asyncio
from contextlib import suppress

import pytest

from log_aggregator.clock import timeout


async def marked_as_cancelled() -> None:
    """As a group of tasks that fails leaves its task in Python before 3.11.3."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(0)
    assert task.cancelling() == 1


async def test_a_deadline_passes_as_a_timeout() -> None:
    await marked_as_cancelled()
    with pytest.raises(TimeoutError):
        async with timeout(0):
            await asyncio.Event().wait()


async def test_a_cancellation_before_the_deadline_is_no_timeout() -> None:
    entered = asyncio.Event()

    async def wait() -> None:
        await marked_as_cancelled()
        async with timeout(60):
            entered.set()
            await asyncio.Event().wait()

    waiting = asyncio.create_task(wait())
    await entered.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_none_is_for_ever() -> None:
    async with timeout(None):
        await asyncio.sleep(0)
