"""Waiting for what other processes do, without guessing how long it takes."""

import asyncio
from collections.abc import Awaitable, Callable

_POLL_SECONDS = 0.01


async def until(condition: Callable[[], Awaitable[bool]], deadline_seconds: float = 20.0) -> None:
    """Returns when the condition holds. Raises TimeoutError."""
    async with asyncio.timeout(deadline_seconds):
        while True:
            if await condition():
                return
            await asyncio.sleep(_POLL_SECONDS)
