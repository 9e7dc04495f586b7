"""Waiting for what other processes do, without guessing how long it takes."""

import asyncio
import time
from collections.abc import Awaitable, Callable

_POLL_SECONDS = 0.01


async def until(condition: Callable[[], Awaitable[bool]], deadline_seconds: float = 20.0) -> None:
    """Returns when the condition holds. Raises TimeoutError."""
    async with asyncio.timeout(deadline_seconds):
        while True:
            if await condition():
                return
            await asyncio.sleep(_POLL_SECONDS)


def wait_for(condition: Callable[[], bool], deadline_seconds: float = 20.0) -> None:
    """The same without an event loop."""
    deadline = time.monotonic() + deadline_seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(_POLL_SECONDS)
