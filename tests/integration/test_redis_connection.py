"""What a Redis client must do that the library does not."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress

import pytest

from log_aggregator.wal.connection import connect
from log_aggregator.wal.errors import InvalidRedisUrl
from servers import RedisServer

# Event loop steps from the start of a command to its end, the connection's handshake included, with some to spare.
STEPS = 60


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.mark.parametrize(
    "url",
    [
        "http://secret@host",
        "redis://:sec/ret@host:6379",
        "redis://user:pass:secret@host:secret",
        "redis+sentinel://:secret@host:26379",
        "redis+sentinel://:secret@host:26379/",
        "redis+sentinel://:secret@host:26379/main/secret",
        "redis+sentinel://:secret@/main",
        "redis+sentinel://:secret@a:1,/main",
        "redis+sentinel://:secret@host:secret/main",
        "redis+cluster://:secret@",
        "redis+cluster://host?db=secret",
        "redis://host?db=secret",
    ],
)
async def test_urls_that_are_none_are_refused_without_a_word_of_them(url: str) -> None:
    with pytest.raises(InvalidRedisUrl) as raised:
        connect(url)
    assert "secret" not in str(raised.value)
    assert raised.value.__cause__ is None


async def test_connection_that_was_closed_while_unused_is_made_anew(server: RedisServer) -> None:
    client, other = connect(server.url), connect(server.url)
    mine = await client.client_id()
    await other.client_kill_filter(_id=str(mine))
    while any(int(one["id"]) == mine for one in await other.client_list()):
        pass
    await other.ping()  # by its answer the loop has heard of the end of the connection too
    assert await client.client_id() != mine
    await client.aclose()
    await other.aclose()


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
