"""What the write-ahead logs promise, on each server that speaks Redis' protocol."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from log_aggregator.formats.keys import IndexKey, index_key, parse_index_key
from log_aggregator.model.position import Coverage, Position
from log_aggregator.wal.connection import connect
from log_aggregator.wal.errors import Fenced, HeadMoved, RecordsLost, WalFull, WalUnavailable
from log_aggregator.wal.index_list import IndexList
from log_aggregator.wal.log import Lease, LogState, WriteAheadLogs
from log_aggregator.wal.names import Names
from servers import RedisServer, ValkeyServer
from waiting import until

DAY_NS = 24 * 3600 * 1_000_000_000
MEBIBYTE = 1 << 20


@pytest.fixture(scope="module", params=[RedisServer, ValkeyServer], ids=["redis", "valkey"])
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with request.param() as started:
        yield started


@pytest.fixture
async def redis(server: RedisServer) -> AsyncIterator[Redis]:
    async with client_of(server) as client:
        yield client


@pytest.fixture
def names() -> Names:
    """Of an installation that no other test uses."""
    return Names(uuid.uuid4().hex)


@pytest.fixture
def logs(redis: Redis, names: Names) -> WriteAheadLogs:
    return WriteAheadLogs(redis, names)


@pytest.fixture
def lists(redis: Redis, names: Names) -> IndexList:
    return IndexList(redis, names)


async def append(logs: WriteAheadLogs, lease: Lease, *records: bytes) -> list[Position]:
    return await logs.append(lease, await logs.head(lease.wal), records)


async def records(logs: WriteAheadLogs, wal: str, after: Position | None = None) -> list[bytes]:
    (found,) = await logs.read([(wal, after)], 1000)
    return [data for _, data in found]


async def expire(redis: Redis, names: Names, lease: Lease) -> None:
    """What time does to a lease."""
    await redis.delete(names.lease(lease.wal))


def index_of(lease: Lease, first: Position, last: Position, period: int = 0) -> IndexKey:
    coverage = Coverage(lease.wal, lease.epoch, first, last)
    return parse_index_key(index_key("tenant", period * DAY_NS, 1, 2, coverage))


@pytest.mark.parametrize(("policy", "evicted"), [("noeviction", False), ("volatile-lru", False), ("allkeys-lru", True)])
async def test_policy_that_evicts_logs_is_known(logs: WriteAheadLogs, redis: Redis, policy: str, evicted: bool) -> None:
    await redis.config_set("maxmemory-policy", policy)
    try:
        assert await logs.may_be_evicted() is evicted
    finally:
        await redis.config_set("maxmemory-policy", "noeviction")


async def test_records_come_back_in_order_and_after_a_position(logs: WriteAheadLogs) -> None:
    lease = await logs.open("a")
    one, two = await append(logs, lease, b"one", b"two")
    (three,) = await append(logs, lease, b"\x00\xff\r\n")
    assert one < two < three
    assert await records(logs, lease.wal) == [b"one", b"two", b"\x00\xff\r\n"]
    assert await records(logs, lease.wal, after=two) == [b"\x00\xff\r\n"]
    assert await records(logs, lease.wal, after=three) == []
    assert await logs.head(lease.wal) == three
    assert await logs.read([(lease.wal, None), ("nothing", None), (lease.wal, one)], 1) == [
        [(one, b"one")],
        [],
        [(two, b"two")],
    ]


async def test_a_new_log_is_empty_and_held(logs: WriteAheadLogs) -> None:
    lease = await logs.open("a")
    assert await logs.states() == [LogState(lease.wal, None)]
    assert await logs.holders() == {lease.wal: "a"}
    assert await logs.head(lease.wal) is None
    assert await logs.renew(lease) is None
    assert await logs.claim(lease.wal, "b") is None


async def test_one_of_many_claimants_wins_and_the_former_holder_is_fenced(
    logs: WriteAheadLogs, redis: Redis, names: Names
) -> None:
    old = await logs.open("a")
    (position,) = await append(logs, old, b"record")
    await expire(redis, names, old)
    claims = await asyncio.gather(*(logs.claim(old.wal, f"claimant-{number}") for number in range(16)))
    (lease,) = [claim for claim in claims if claim is not None]
    assert lease.epoch == 2
    for step in (
        logs.append(old, position, [b"late"]),
        logs.commit(old, position, position, [index_of(old, position, position)]),
        logs.renew(old),
    ):
        with pytest.raises(Fenced):
            await step
    await logs.release(old)
    assert await logs.holders() == {old.wal: lease.holder}
    assert await records(logs, old.wal) == [b"record"]


async def test_an_expired_lease_fences_before_anybody_claims(logs: WriteAheadLogs, redis: Redis, names: Names) -> None:
    lease = await logs.open("a")
    await expire(redis, names, lease)
    with pytest.raises(Fenced):
        await append(logs, lease, b"record")
    assert await records(logs, lease.wal) == []


async def test_a_lease_ends_by_itself_unless_it_is_renewed(redis: Redis, names: Names) -> None:
    short = WriteAheadLogs(redis, names, lease_seconds=0.05)
    lease = await short.open("a")

    async def expired() -> bool:
        return not await redis.exists(names.lease(lease.wal))

    await until(expired)
    with pytest.raises(Fenced):
        await short.renew(lease)
    renewed = await short.claim(lease.wal, "b")
    assert renewed is not None
    await WriteAheadLogs(redis, names, lease_seconds=60).renew(renewed)
    assert await redis.pttl(names.lease(lease.wal)) > 50_000


async def test_append_is_refused_to_a_holder_that_does_not_know_the_head(logs: WriteAheadLogs) -> None:
    lease = await logs.open("a")
    (one,) = await logs.append(lease, None, [b"one"])
    with pytest.raises(HeadMoved):
        await logs.append(lease, None, [b"two"])
    (two,) = await logs.append(lease, one, [b"two"])
    assert await logs.renew(lease) == two
    assert await records(logs, lease.wal) == [b"one", b"two"]


async def test_commit_trims_and_lists_in_one_step(logs: WriteAheadLogs, lists: IndexList) -> None:
    lease = await logs.open("a")
    one, two, three = await append(logs, lease, b"1", b"2", b"3")
    filling = lists.filling_keys("tenant", "1970-01-01T0000Z")
    await filling.begin()
    await filling.end([])
    indexes = [index_of(lease, one, two), index_of(lease, one, two, period=1)]
    await logs.commit(lease, one, two, indexes)
    assert await records(logs, lease.wal) == [b"3"]
    assert await logs.states() == [LogState(lease.wal, two)]
    assert await lists.keys("tenant", ["1970-01-01T0000Z", "1970-01-02T0000Z"]) == [[indexes[0].key], None]
    await logs.commit(lease, one, two, indexes)  # an answer that was lost
    assert await records(logs, lease.wal) == [b"3"]
    await logs.commit(lease, three, three, [])
    assert await records(logs, lease.wal) == []
    assert await logs.head(lease.wal) == three
    (four,) = await append(logs, lease, b"4")
    assert four > three


async def test_commit_is_refused_while_the_log_has_older_records(logs: WriteAheadLogs) -> None:
    lease = await logs.open("a")
    _, two = await append(logs, lease, b"trimmed, and back with an older state of Redis", b"2")
    with pytest.raises(RecordsLost):
        await logs.commit(lease, two, two, [index_of(lease, two, two)])
    assert len(await records(logs, lease.wal)) == 2


async def test_release_frees_a_log_and_removes_an_empty_one(logs: WriteAheadLogs) -> None:
    lease = await logs.open("a")
    (one,) = await append(logs, lease, b"1")
    await logs.release(lease)
    assert await logs.holders() == {lease.wal: None}
    with pytest.raises(Fenced):
        await append(logs, lease, b"2")
    successor = await logs.claim(lease.wal, "b")
    assert successor is not None
    await logs.commit(successor, one, one, [])
    await logs.release(successor)
    assert await logs.states() == []
    assert await logs.claim(lease.wal, "c") is None
    assert await logs.head(lease.wal) == one  # for the former holder


async def test_flush_requests_are_counted(logs: WriteAheadLogs) -> None:
    assert await logs.flush_requests() == 0
    await logs.request_flush()
    await logs.request_flush()
    assert await logs.flush_requests() == 2


async def test_a_list_is_complete_only_after_filling(lists: IndexList) -> None:
    filling = lists.filling_keys("tenant", "p")
    await filling.begin()
    assert await lists.keys("tenant", ["p"]) == [None]
    await filling.end(["a", "b"])
    (keys,) = await lists.keys("tenant", ["p"])
    assert sorted(keys or []) == ["a", "b"]
    periods = lists.filling_periods("tenant")
    await periods.begin()
    await periods.end([])
    assert await lists.periods("tenant") == []


@pytest.mark.parametrize("names", [Names("plain"), Names(r"[odd]*\?")], ids=["plain", "odd"])
async def test_forgotten_lists_are_incomplete(logs: WriteAheadLogs, lists: IndexList) -> None:
    await logs.forget_lists()
    for filling in (lists.filling_keys("tenant", "p"), lists.filling_periods("tenant")):
        await filling.begin()
        await filling.end(["a"])
    lease = await logs.open("a")
    await logs.forget_lists()
    assert await lists.keys("tenant", ["p"]) == [None]
    assert await lists.periods("tenant") is None
    assert await logs.holders() == {lease.wal: "a"}


async def test_a_list_that_was_lost_while_it_was_filled_stays_incomplete(
    logs: WriteAheadLogs, lists: IndexList, redis: Redis, names: Names
) -> None:
    lease = await logs.open("a")
    (one,) = await append(logs, lease, b"1")
    filling = lists.filling_keys("tenant", "1970-01-01T0000Z")
    await filling.begin()
    await logs.commit(lease, one, one, [index_of(lease, one, one)])
    await redis.delete(names.index_list("tenant", "1970-01-01T0000Z"))
    await filling.end([])  # from a listing before the commit
    assert await lists.keys("tenant", ["1970-01-01T0000Z"]) == [None]


@asynccontextmanager
async def client_of(server: RedisServer, timeout_seconds: float = 10.0) -> AsyncIterator[Redis]:
    client = connect(server.url, timeout_seconds=timeout_seconds)
    try:
        yield client
    finally:
        await client.aclose()


@pytest.mark.parametrize("kind", [RedisServer, ValkeyServer])
async def test_full_redis_refuses_appends_and_lets_logs_drain(kind: type[RedisServer]) -> None:
    with kind(appendonly=False) as server:
        async with client_of(server) as client:
            names = Names("full")
            logs, lists = WriteAheadLogs(client, names), IndexList(client, names)
            lease = await logs.open("a")
            (position,) = await append(logs, lease, bytes(3 * MEBIBYTE))
            await client.config_set("maxmemory", 4 * MEBIBYTE)  # some 1 MB is its own
            for refused in (
                logs.append(lease, position, [b"1"]),
                logs.open("another"),
                lists.filling_keys("tenant", "p").begin(),
            ):
                with pytest.raises(WalFull):
                    await refused
            assert await logs.renew(lease) == position
            await logs.request_flush()
            await logs.release(lease)
            successor = await logs.claim(lease.wal, "b")
            assert successor is not None
            await logs.commit(successor, position, position, [index_of(successor, position, position)])

            async def appended() -> bool:
                try:
                    return bool(await append(logs, successor, b"2"))
                except WalFull:  # Redis shrinks the buffers of its connections by and by
                    return False

            await until(appended)


@pytest.mark.parametrize("kind", [RedisServer, ValkeyServer])
async def test_append_only_file_brings_everything_back_after_a_kill(kind: type[RedisServer]) -> None:
    with kind(appendfsync="always") as server:
        async with client_of(server) as client:
            logs = WriteAheadLogs(client, Names("restart"), lease_seconds=3600)
            lease = await logs.open("a")
            await append(logs, lease, b"1", b"2")
        server.restart()
        async with client_of(server) as client:
            logs = WriteAheadLogs(client, Names("restart"), lease_seconds=3600)
            assert await records(logs, lease.wal) == [b"1", b"2"]
            await append(logs, lease, b"3")


async def test_redis_that_is_gone_is_unavailable() -> None:
    with RedisServer(appendonly=False) as server:
        async with client_of(server) as client:
            logs = WriteAheadLogs(client, Names("gone"))
            lease = await logs.open("a")
            server.kill()
            with pytest.raises(WalUnavailable, match="append: Redis is not reachable"):
                await logs.append(lease, None, [b"1"])
            with pytest.raises(WalUnavailable, match="list logs: Redis is not reachable"):
                await logs.states()
            server.restart()
            assert await logs.states() == []


async def test_redis_that_hangs_is_unavailable(server: RedisServer) -> None:
    async with client_of(server, timeout_seconds=0.5) as client:
        logs = WriteAheadLogs(client, Names("hangs"))
        lease = await logs.open("a")
        (early,) = await append(logs, lease, b"early")  # now the server knows the script
        server.pause()
        try:
            with pytest.raises(WalUnavailable, match="append"):
                await logs.append(lease, early, [b"late"])
        finally:
            server.resume()

        async def arrived() -> bool:
            return await logs.head(lease.wal) != early

        await until(arrived)  # the answer was lost, not the record
        assert await records(logs, lease.wal) == [b"early", b"late"]
        with pytest.raises(HeadMoved):
            await logs.append(lease, early, [b"next"])
