"""Shares of queries in a real Redis: who gets them when, and what is left of them."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from log_aggregator.wal.connection import connect
from log_aggregator.wal.names import Names
from log_aggregator.wal.work_queue import PulledShare, WorkQueue
from servers import RedisServer

NAMES = Names("queue")
AT_ONCE = 0.01
LONG = 60.0


@pytest.fixture
async def redis(redis_server: RedisServer) -> AsyncIterator[Redis]:
    client = connect(redis_server.url)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
def asker(redis: Redis) -> WorkQueue:
    return WorkQueue(redis, NAMES, "asker")


@pytest.fixture
def worker(redis: Redis) -> WorkQueue:
    return WorkQueue(redis, NAMES, "worker")


async def pulled(queue: WorkQueue) -> PulledShare | None:
    """As a worker pulls that waits for its turn."""
    tenant = await queue.wait_turn(AT_ONCE)
    return None if tenant is None else await queue.pull(tenant)


async def test_tenants_take_turns(asker: WorkQueue, worker: WorkQueue) -> None:
    await asker.add("many", "a", [b"a1", b"a2", b"a3", b"a4"])
    await asker.add("few", "b", [b"b1", b"b2"])
    order = []
    while share := await pulled(worker):
        order.append(share.data)
    assert order == [b"a1", b"b1", b"a2", b"b2", b"a3", b"a4"]


async def test_share_goes_to_one_worker(asker: WorkQueue, worker: WorkQueue, redis: Redis) -> None:
    await asker.add("q", "a", [b"1", b"2"])
    other = WorkQueue(redis, NAMES, "worker")
    shares = [await pulled(one) for one in (worker, other, worker, other)]
    assert [share.data for share in shares if share] == [b"1", b"2"]


async def test_turn_can_be_given_back(asker: WorkQueue, worker: WorkQueue) -> None:
    await asker.add("q", "a", [b"1"])
    assert await worker.wait_turn(AT_ONCE) == "a"
    assert await worker.wait_turn(AT_ONCE) is None
    await worker.give_back("a")
    share = await pulled(worker)
    assert share is not None
    assert share.data == b"1"


async def test_asker_takes_what_nobody_has(asker: WorkQueue, worker: WorkQueue) -> None:
    first, second = await asker.add("q", "a", [b"1", b"2"])
    assert await pulled(worker) is not None
    assert await asker.take("a", [first, second], LONG) == second
    assert await asker.take("a", [first], LONG) is None
    assert await pulled(worker) is None


async def test_asker_takes_from_a_silent_worker(asker: WorkQueue, worker: WorkQueue) -> None:
    (id_,) = await asker.add("q", "a", [b"1"])
    share = await pulled(worker)
    assert share is not None
    assert await worker.hold("q", share)
    assert await asker.take("a", [id_], 0) == id_
    assert not await worker.hold("q", share)
    assert not await worker.answer("q", share, b"late")
    assert await asker.wait_answer("q", AT_ONCE) is None


async def test_holding_is_a_sign_of_life(asker: WorkQueue, worker: WorkQueue, redis: Redis) -> None:
    (id_,) = await asker.add("q", "a", [b"1"])
    share = await pulled(worker)
    assert share is not None
    stream = next(key for key in await redis.keys("*:shares:*"))
    await redis.xclaim(stream, "replicas", await consumer(redis, stream), 0, [id_], idle=50_000, justid=True)
    assert await worker.hold("q", share)
    assert await asker.take("a", [id_], 40) is None


async def consumer(redis: Redis, stream: bytes) -> bytes:
    (only,) = await redis.xinfo_consumers(stream, "replicas")
    return bytes(only["name"])


async def test_answer_reaches_the_asker(asker: WorkQueue, worker: WorkQueue) -> None:
    (id_,) = await asker.add("q", "a", [b"1"])
    share = await pulled(worker)
    assert share is not None
    assert await worker.answer("q", share, b"bytes \n of any kind\x00")
    assert await asker.wait_answer("q", AT_ONCE) == (id_, b"bytes \n of any kind\x00")


async def test_answers_that_nobody_fetches_are_few(asker: WorkQueue, worker: WorkQueue) -> None:
    await asker.add("q", "a", [b"1"] * 6)
    shares = [share for _ in range(6) if (share := await pulled(worker))]
    assert [await worker.answer("q", share, b"x") for share in shares] == [True] * 4 + [False] * 2


async def test_nothing_stays_of_an_ended_query(asker: WorkQueue, worker: WorkQueue, redis: Redis) -> None:
    ids = await asker.add("q", "a", [b"1", b"2", b"3"])
    first, second = await pulled(worker), await pulled(worker)
    assert first is not None
    assert second is not None
    assert await worker.answer("q", first, b"answer")
    await asker.end("q", "a", ids)
    assert not await worker.hold("q", second)
    assert not await worker.answer("q", second, b"answer")
    assert await pulled(worker) is None
    left = await redis.keys("*")
    assert [key for key in left if b":query:" in key or b":answers:" in key] == []
    (stream,) = (key for key in left if b":shares:" in key)
    assert await redis.xlen(stream) == 0
    assert (await redis.xpending(stream, "replicas"))["pending"] == 0


async def test_share_of_an_asker_that_died_is_cleared_away(asker: WorkQueue, worker: WorkQueue, redis: Redis) -> None:
    await asker.add("q", "a", [b"1"])
    share = await pulled(worker)
    assert share is not None
    (query,) = await redis.keys("*:query:*")
    await redis.delete(query)  # as it expires
    assert not await worker.hold("q", share)
    (stream,) = await redis.keys("*:shares:*")
    assert await redis.xlen(stream) == 0
    assert (await redis.xpending(stream, "replicas"))["pending"] == 0


async def test_old_shares_make_room(asker: WorkQueue, redis: Redis) -> None:
    await asker.add("q", "a", [b"1"])
    (stream,) = await redis.keys("*:shares:*")
    await redis.delete(stream)
    await redis.xadd(stream, {"s": b"old"}, id="1-0")
    (id_,) = await asker.add("q", "a", [b"2"])
    assert [entry[0].decode() for entry in await redis.xrange(stream)] == [id_]


async def test_everything_expires(asker: WorkQueue, worker: WorkQueue, redis: Redis) -> None:
    await asker.add("q", "a", [b"1", b"2"])
    share = await pulled(worker)
    assert share is not None
    assert await worker.answer("q", share, b"answer")
    await worker.give_back("a")
    keys = await redis.keys("*")
    assert len(keys) == 4
    assert all([await redis.pttl(key) > 0 for key in keys])


async def test_queue_of_a_tenant_is_bounded(asker: WorkQueue) -> None:
    assert len(await asker.add("q", "a", [b"x"] * 300)) == 256
    assert await asker.add("r", "a", [b"x"]) == []
    assert len(await asker.add("s", "b", [b"x"])) == 1


async def test_redis_that_forgot_everything_leaves_shares_to_the_asker(asker: WorkQueue, redis: Redis) -> None:
    (id_,) = await asker.add("q", "a", [b"1"])
    await redis.flushall()
    assert await asker.take("a", [id_], LONG) == id_


async def test_workers_know_how_many_others_there_are(asker: WorkQueue, worker: WorkQueue, redis: Redis) -> None:
    await asker.show_up()
    assert asker.others == 0
    await worker.show_up()
    await asker.show_up()
    assert (asker.others, worker.others) == (1, 1)
    await worker.leave()
    await asker.show_up()
    assert asker.others == 0
    await worker.show_up()
    (workers,) = await redis.keys("*:workers")
    await redis.zadd(workers, dict.fromkeys(await redis.zrange(workers, 0, -1), 1))  # as if they had been silent
    await asker.show_up()
    assert asker.others == 0
