"""What has expired is not seen, and leaves the store."""

import uuid
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from clocks import SetClock
from cluster import flipped
from log_aggregator.formats.delete_request import DeleteRequest, encode_request
from log_aggregator.formats.keys import delete_request_key, period_name, period_prefix
from log_aggregator.model.limits import Limits, StreamRetention
from log_aggregator.model.segment import LINE
from log_aggregator.services.extents import StreamExtents
from log_aggregator.services.maintenance import Maintenance, MaintenanceMetrics
from log_aggregator.services.statistics import ScanStatistics
from log_aggregator.services.units import Scan
from log_aggregator.storage.memory import MemoryStore
from log_aggregator.wal.connection import connect
from log_aggregator.wal.leadership import Leadership
from log_aggregator.wal.names import Names
from replica import HOUR_NS, POLICY, Entry, Replica
from servers import RedisServer

DAY_NS = 24 * HOUR_NS
NOW_NS = 1_000 * DAY_NS
LIMITS = Limits(
    retention_period=3 * DAY_NS, retention_stream=(StreamRetention(selector='{stream="debug"}', period=DAY_NS),)
)


LIMITS_OF_NONE = Limits(retention_period=0)


class Keeper:
    """One replica, the store, and a calendar."""

    def __init__(self, redis: Redis, limits: Limits = LIMITS) -> None:
        self.calendar, names = SetClock(NOW_NS), Names(uuid.uuid4().hex)
        self.names = names
        self.store = MemoryStore(self.calendar)
        self.replica = Replica(redis, names, self.store, "replica", POLICY, clock=self.calendar, limits=limits)
        replica = self.replica
        self._maintenance = Maintenance(
            self.store,
            replica.catalog,
            Leadership(redis, names, "replica", lease_seconds=60),
            replica.compactor,
            replica.janitor,
            replica.erasures,
            self.calendar,
            MaintenanceMetrics(CollectorRegistry()),
            HOUR_NS,
        )

    async def push(self, *hours_ago: int, stream: str = "app") -> None:
        await self.replica.push(
            [Entry("tenant", stream, NOW_NS - hours * HOUR_NS, f"{stream} {hours}") for hours in hours_ago]
        )

    async def sweep(self) -> None:
        await self._maintenance.sweep()

    async def lines(self) -> list[str]:
        scan = Scan("tenant", -(1 << 63), NOW_NS + DAY_NS, lambda labels: True)
        found = [
            line
            async for batch in self.replica.scanner.ordered(scan, "forward", ScanStatistics())
            for line in batch.frame[LINE]
        ]
        return sorted(found)

    async def stored(self) -> int:
        return len([meta async for meta in self.store.list("tenant/chunks/")])


@pytest.fixture
async def keeper(redis_server: RedisServer) -> AsyncIterator[Keeper]:
    client = connect(redis_server.url)
    made = Keeper(client)
    yield made
    await made.replica.end()
    await client.aclose()


@pytest.mark.parametrize("rules", [(), LIMITS.retention_stream])
async def test_what_is_kept_for_ever_may_be_of_any_time(redis: Redis, rules: tuple[StreamRetention, ...]) -> None:
    """Before 1970, too."""
    keeper = Keeper(redis, Limits(retention_period=0, retention_stream=rules))
    await keeper.replica.start()
    times_ns = (-6_795_364_578_871_345_152, -8 * 10**18, -1, 0)  # the first is Go's zero time
    await keeper.replica.push([Entry("tenant", "app", time_ns, str(time_ns)) for time_ns in times_ns])
    expected = sorted(map(str, times_ns))
    assert await keeper.lines() == expected
    await keeper.replica.flush()
    await keeper.sweep()
    assert await keeper.lines() == expected
    request = DeleteRequest("00000000", 1, 0, 10, '{stream="other"}')
    await keeper.store.put(delete_request_key("tenant", request.request_id), encode_request(request))
    assert await Replica(redis, keeper.names, keeper.store, "reader", limits=LIMITS_OF_NONE).entries("tenant") == [
        Entry("tenant", "app", time_ns, str(time_ns)) for time_ns in sorted(times_ns)
    ]
    await keeper.replica.end()


@pytest.mark.parametrize("flushed", [False, True])
async def test_what_has_expired_is_not_seen(keeper: Keeper, flushed: bool) -> None:
    await keeper.replica.start()
    await keeper.push(1, 30, 71, 73, 500)
    await keeper.push(1, 23, 25, stream="debug")
    if flushed:
        await keeper.replica.flush()
    assert await keeper.lines() == ["app 1", "app 30", "app 71", "debug 1", "debug 23"]
    keeper.calendar.time_ns += 2 * HOUR_NS
    assert await keeper.lines() == ["app 1", "app 30", "debug 1"]


async def test_labels_do_not_tell_of_what_has_expired(keeper: Keeper) -> None:
    await keeper.replica.start()
    await keeper.push(1)
    await keeper.push(30, stream="debug")
    await keeper.replica.flush()
    extents = StreamExtents(keeper.replica.scanner, keeper.replica.catalog, HOUR_NS, lambda tenant: LIMITS)
    streams = await extents.ask(
        "tenant", 0, NOW_NS, lambda found: [dict(labels) for labels in found.table.streams(found.frame["stream"])]
    )
    assert streams == [{"stream": "app"}]


async def test_periods_leave_the_store_when_all_of_them_has_expired(keeper: Keeper) -> None:
    await keeper.replica.start()
    await keeper.push(1, 60, 80, 200)
    await keeper.replica.flush()
    assert await keeper.stored() == 4
    await keeper.sweep()
    assert await keeper.stored() == 2
    assert await keeper.lines() == ["app 1", "app 60"]
    keeper.calendar.time_ns += 20 * HOUR_NS
    await keeper.sweep()
    assert await keeper.stored() == 1
    assert await keeper.lines() == ["app 1"]


async def test_streams_that_are_kept_for_less_leave_the_store_before_the_others(keeper: Keeper) -> None:
    await keeper.replica.start()
    await keeper.push(40)
    await keeper.push(40, stream="debug")
    await keeper.replica.flush()
    await keeper.sweep()
    keeper.calendar.time_ns += 25 * HOUR_NS
    await keeper.sweep()  # collects what the first one has replaced
    assert await keeper.stored() == 1
    indexes = await keeper.replica.catalog.load(
        await keeper.replica.catalog.stored_keys("tenant", NOW_NS - 40 * HOUR_NS)
    )
    assert [index.streams for index in indexes] == [((("stream", "app"),),)]


async def test_what_expires_as_a_whole_is_not_written_anew_before(keeper: Keeper) -> None:
    await keeper.replica.start()
    await keeper.push(200)
    await keeper.replica.flush()
    erasure = await keeper.replica.erasures.of("tenant")
    assert erasure.within(NOW_NS - 200 * HOUR_NS) is None
    assert erasure.within(NOW_NS - 40 * HOUR_NS) is not None
    assert erasure.within(NOW_NS - HOUR_NS) is None


async def test_a_damaged_period_leaves_the_others_alone(keeper: Keeper) -> None:
    await keeper.replica.start()
    for _ in range(2):
        await keeper.push(40, 50, 200)
        await keeper.push(40, 50, stream="debug")
        await keeper.replica.flush()
    damaged, *_ = [meta.key async for meta in keeper.store.list(period_prefix("tenant", NOW_NS - 50 * HOUR_NS))]
    data = await keeper.store.get(damaged)
    await keeper.store.put(damaged, flipped(data, len(data) // 2))
    for hours in ({40, 50}, {40}):  # in the second round even the damaged one has expired
        with pytest.raises(ExceptionGroup) as raised:
            await keeper.sweep()
        assert all(damaged in str(error) for error in raised.value.exceptions)
        stored = {meta.key.split("/")[2] async for meta in keeper.store.list("tenant/chunks/")}
        assert stored == {period_name(NOW_NS - ago * HOUR_NS) for ago in hours}
        keeper.calendar.time_ns += 25 * HOUR_NS
    (index,) = await keeper.replica.catalog.load(
        await keeper.replica.catalog.stored_keys("tenant", NOW_NS - 40 * HOUR_NS)
    )
    assert index.streams == ((("stream", "app"),),)


async def test_a_request_is_not_carried_out_before_what_was_pushed_before_it_is_flushed(keeper: Keeper) -> None:
    """Though the clock of the replica that takes the request is years behind that of Redis."""
    await keeper.replica.start()
    await keeper.push(1, 2)
    await keeper.replica.deletions.add("tenant", '{stream="app"}', 0, NOW_NS)
    keeper.calendar.time_ns += 2 * HOUR_NS
    for is_processed in (False, True):
        await keeper.sweep()
        (known,) = await keeper.replica.deletions.requests("tenant")
        assert known.is_processed == is_processed
        await keeper.replica.flush()
    keeper.calendar.time_ns += 25 * HOUR_NS  # it hides nothing any more
    assert await keeper.lines() == []
