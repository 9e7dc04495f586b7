"""What a Redis client must do that the library does not."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress

import pytest

from log_aggregator.wal.connection import connect
from servers import RedisServer

# Event loop steps from the start of a command to its end, the connection's handshake included, with some to spare.
STEPS = 60


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


async def test_cancellation_is_never_swallowed(server: RedisServer) -> None:
    for steps in range(STEPS):
        client = connect(server.url)
        task = asyncio.ensure_future(client.ping())
        for _ in range(steps):
            await asyncio.sleep(0)
        if task.done():
            assert await task
        else:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            assert task.cancelled(), f"swallowed at step {steps}"
        await client.aclose()
