"""Bytes a second over all replicas together, of which each takes some ahead."""

import asyncio
import uuid

import pytest
from redis.asyncio import Redis

from clocks import SetClock
from log_aggregator.model.limits import Limits
from log_aggregator.services import quotas
from log_aggregator.services.quotas import Quotas
from log_aggregator.wal.names import Names

BURST = 1 << 20
# So slow that no test sees any of it; what is taken ahead is a tenth of the burst.
LIMITS = Limits(ingestion_rate_mb=1 / 1024, ingestion_burst_size_mb=1)
AHEAD = BURST // 10
SLACK = 20_000


class Installation:
    def __init__(self, redis: Redis) -> None:
        self.redis, self.names, self.clock = redis, Names(uuid.uuid4().hex), SetClock()

    def replica(self) -> Quotas:
        return Quotas(self.redis, self.names, self.clock, 10**9, uuid.uuid4().hex)

    async def asked(self) -> int:
        stats = await self.redis.info("commandstats")
        return int(stats.get("cmdstat_evalsha", {"calls": 0})["calls"])


@pytest.fixture
def installation(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> Installation:
    monkeypatch.setattr(quotas, "_AHEAD_SECONDS", AHEAD / 1024)
    return Installation(redis)


async def drained(replica: Quotas, amount: int) -> int:
    """How many bytes it admits, so many at a time."""
    admitted = 0
    while await replica.admit_bytes("tenant", LIMITS, amount):
        admitted += amount
    return admitted


@pytest.mark.parametrize("amount", [1_000, 60_000, 200_000])
async def test_one_replica_admits_the_burst(installation: Installation, amount: int) -> None:
    admitted = await drained(installation.replica(), amount)
    assert BURST - amount <= admitted <= BURST + SLACK


async def test_replicas_admit_the_burst_together(installation: Installation) -> None:
    replicas = [installation.replica() for _ in range(3)]
    for replica in replicas:
        assert await replica.admit_bytes("tenant", LIMITS, 1)
    admitted = [await drained(replica, 1_000) for replica in replicas]
    assert BURST - 10_000 <= sum(admitted) <= BURST + SLACK
    assert await replicas[0].admit_bytes("tenant", LIMITS, 0)
    assert await replicas[0].admit_bytes("other", LIMITS, BURST)
    assert not await replicas[0].admit_bytes("other", LIMITS, BURST)


async def test_small_pushes_do_not_all_ask(installation: Installation) -> None:
    replica = installation.replica()
    before = await installation.asked()
    for _ in range(200):
        assert await replica.admit_bytes("tenant", LIMITS, 1_000)
    assert await installation.asked() - before <= 2 + 200_000 // AHEAD


async def test_pushes_that_ask_at_the_same_time_lose_nothing(installation: Installation) -> None:
    replica = installation.replica()
    assert all(await asyncio.gather(*(replica.admit_bytes("tenant", LIMITS, 1_000) for _ in range(20))))
    admitted = 20_000 + await drained(replica, 1_000)
    assert BURST - 2_000 <= admitted <= BURST + SLACK


async def test_a_burst_that_comes_at_once_passes(installation: Installation) -> None:
    replica = installation.replica()
    quarters = [replica.admit_bytes("tenant", LIMITS, BURST // 4) for _ in range(4)]
    assert await asyncio.gather(*quarters) == [True] * 4
    assert not await replica.admit_bytes("tenant", LIMITS, SLACK)


async def test_what_was_taken_ahead_long_ago_does_not_join_a_full_burst(installation: Installation) -> None:
    replica = installation.replica()
    assert await replica.admit_bytes("tenant", LIMITS, 1)
    await installation.redis.delete(
        installation.names.ingestion_bucket("tenant")
    )  # as it is when enough time has passed
    installation.clock.time_ns += 10**9
    assert BURST - 1_000 <= await drained(replica, 1_000) <= BURST + SLACK


async def test_what_is_given_back_may_be_taken_again(installation: Installation) -> None:
    replica = installation.replica()
    assert await replica.admit_bytes("tenant", LIMITS, BURST)
    assert not await replica.admit_bytes("tenant", LIMITS, 1_000)
    replica.give_back_bytes("tenant", LIMITS, 1_000)
    assert await replica.admit_bytes("tenant", LIMITS, 1_000)
    assert not await replica.admit_bytes("tenant", LIMITS, 1_000)


async def test_bytes_of_streams_are_admitted_of_all_or_of_none(installation: Installation) -> None:
    limits = Limits(per_stream_rate_limit=1, per_stream_rate_limit_burst=1_000)
    replica, one, other = installation.replica(), (("app", "a"),), (("app", "b"),)
    assert not replica.admit_all_stream_bytes("tenant", limits, (one, other), (500, 1_001))
    assert replica.admit_all_stream_bytes("tenant", limits, (one, other), (1_000, 600))
    assert not replica.admit_stream_bytes("tenant", limits, one, 1)
    assert not replica.admit_stream_bytes("tenant", limits, other, 401)
    assert replica.admit_stream_bytes("tenant", limits, other, 400)
