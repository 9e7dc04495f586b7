"""What tests of several directories share. Its place makes the modules beside it (`servers`, `cluster`) importable."""

from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import settings
from redis.asyncio import Redis

from cluster import Cluster
from log_aggregator.wal.connection import connect
from servers import RedisServer

# How long an example takes depends on what else the machine does.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    """One for all the tests of a module: each takes names of its own."""
    with RedisServer(appendonly=False) as started:
        yield started


@pytest.fixture
async def redis(redis_server: RedisServer) -> AsyncIterator[Redis]:
    client = connect(redis_server.url)
    yield client
    await client.aclose()


@pytest.fixture
async def cluster(redis: Redis) -> AsyncIterator[Cluster]:
    started = Cluster(redis)
    yield started
    await started.end()
