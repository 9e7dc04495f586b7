"""A store is used with the index period that it was written with, and with no other."""

import asyncio

import pytest

from clocks import SetClock
from faulty_store import Faults, FaultyStore
from log_aggregator.formats.errors import CorruptData
from log_aggregator.formats.index_period import decode_index_period, encode_index_period
from log_aggregator.formats.keys import INDEX_PERIOD_KEY, chunk_key, compacted_index_key, delete_request_key, index_key
from log_aggregator.model.position import Coverage, Position
from log_aggregator.services.index_period import OnePeriod, PeriodDiffers
from log_aggregator.storage.errors import StorePermissionDenied, StoreRefused, StoreUnavailable
from log_aggregator.storage.memory import MemoryStore
from log_aggregator.storage.operations import Operation

HOUR_NS = 3600 * 1_000_000_000
DAY_NS = 24 * HOUR_NS
START_NS = 20_000 * DAY_NS
COVERAGE = Coverage("wal", 1, Position(1, 0), Position(2, 0))
CHUNK = chunk_key("tenant", START_NS, COVERAGE, 0)
DIFFERS = "index.period is 12h, but the logs in the store were written with 24h: set it to 24h, or use another store"


class ImpatientClock(SetClock):
    """Nobody sleeps longer than it takes the others to go on."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


async def keys(store: MemoryStore) -> list[str]:
    return [meta.key async for meta in store.list("")]


async def recorded_ns(store: MemoryStore) -> int:
    return decode_index_period(await store.get(INDEX_PERIOD_KEY))


async def test_first_chunk_records_the_period() -> None:
    store = MemoryStore()
    ours = OnePeriod(store, DAY_NS)
    assert not await ours.check()
    await ours.put("conditional-put-probe", b"")
    await ours.put(delete_request_key("tenant", "id"), b"")
    assert INDEX_PERIOD_KEY not in await keys(store)
    await ours.put(CHUNK, b"chunk")
    assert await recorded_ns(store) == DAY_NS
    assert await ours.check()
    assert await OnePeriod(store, DAY_NS).get(CHUNK) == b"chunk"


async def test_recorded_period_is_no_tenant() -> None:
    store = MemoryStore()
    await OnePeriod(store, DAY_NS).put(CHUNK, b"chunk")
    assert await store.list_prefixes("") == ["tenant/"]


async def test_store_of_another_period_is_not_used() -> None:
    store = MemoryStore()
    await OnePeriod(store, DAY_NS).put(CHUNK, b"chunk")
    other = OnePeriod(store, DAY_NS // 2)
    with pytest.raises(PeriodDiffers) as caught:
        await other.check()
    assert str(caught.value) == DIFFERS
    for use in (
        other.get(CHUNK),
        other.head(CHUNK),
        other.put(CHUNK, b"other"),
        other.delete([CHUNK]),
        other.list_prefixes(""),
        anext(other.list("")),
    ):
        with pytest.raises(PeriodDiffers):
            await use
    assert await store.get(CHUNK) == b"chunk"


async def test_of_two_that_write_first_one_is_refused() -> None:
    store = MemoryStore()
    both = [OnePeriod(store, DAY_NS), OnePeriod(store, DAY_NS // 2)]
    assert [await one.check() for one in both] == [False, False]
    writing = (one.put(f"{CHUNK}{number}", b"") for number, one in enumerate(both))
    outcomes = await asyncio.gather(*writing, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes].count(PeriodDiffers) == 1
    assert len(await keys(store)) == 2  # the period, and the chunk of the one that it is of


async def test_one_that_only_reads_hears_of_what_is_written_later() -> None:
    store = MemoryStore()
    reader = OnePeriod(store, DAY_NS // 2)
    watching = asyncio.create_task(reader.watch(ImpatientClock()))
    assert await reader.list_prefixes("") == []
    await OnePeriod(store, DAY_NS).put(CHUNK, b"")
    with pytest.raises(PeriodDiffers):
        await watching
    with pytest.raises(PeriodDiffers):
        await reader.list_prefixes("")


@pytest.mark.parametrize("error", [StoreUnavailable, StorePermissionDenied, StoreRefused])
async def test_store_that_is_away_is_looked_at_once_it_is_back(error: type[StoreUnavailable]) -> None:
    store, clock = MemoryStore(), ImpatientClock()
    await OnePeriod(store, DAY_NS).put(CHUNK, b"")
    away = FaultyStore(store, Faults(before=1.0, error=error), 0, clock)
    same, other = OnePeriod(away, DAY_NS), OnePeriod(away, DAY_NS // 2)
    watching = [asyncio.create_task(one.watch(clock)) for one in (same, other)]
    for one in (same, other):
        with pytest.raises(error):
            await one.get(CHUNK)
    assert not any(task.done() for task in watching)
    away.faults = Faults()
    assert await same.get(CHUNK) == b""
    with pytest.raises(PeriodDiffers):
        await other.get(CHUNK)
    outcomes = await asyncio.gather(*watching, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), PeriodDiffers]


async def test_reader_of_a_store_that_it_may_not_write() -> None:
    store = MemoryStore()
    await store.put(index_key("tenant", START_NS, START_NS, START_NS, COVERAGE), b"index")
    faults = Faults(before=1.0, operations=frozenset({Operation.UPLOAD}), error=StorePermissionDenied)
    reader = OnePeriod(FaultyStore(store, faults, 0, ImpatientClock()), DAY_NS)
    assert not await reader.check()
    assert await reader.list_prefixes("") == ["tenant/"]


class Unconditional(MemoryStore):
    """Like servers that do not know the condition of a put."""

    async def put(self, key: str, data: bytes | memoryview, *, if_absent: bool = False) -> None:
        if if_absent:
            raise StoreRefused("NotImplemented")
        await super().put(key, data)


async def test_server_without_conditional_puts() -> None:
    store = Unconditional()
    early = OnePeriod(store, DAY_NS // 2)
    assert not await early.check()
    await OnePeriod(store, DAY_NS).put(CHUNK, b"chunk")
    assert await recorded_ns(store) == DAY_NS
    with pytest.raises(PeriodDiffers):
        await early.put(CHUNK, b"other")
    assert await recorded_ns(store) == DAY_NS


FLUSHED = index_key("tenant", START_NS, START_NS + HOUR_NS, START_NS + 13 * HOUR_NS, COVERAGE)
DIRECTORY = FLUSHED.rpartition("/")[0] + "/"


@pytest.mark.parametrize(
    ("key", "period_ns", "message"),
    [
        (FLUSHED, DAY_NS, None),
        (FLUSHED, 20 * HOUR_NS, None),  # 20,000 days are a multiple of it, too
        (FLUSHED, 7 * HOUR_NS, f"is 7h, but no such period begins where {DIRECTORY} does"),
        (FLUSHED, 12 * HOUR_NS, f"is 12h, but {FLUSHED} has logs of a longer one"),
        (FLUSHED, 30 * HOUR_NS // 60, f"is 30m, but {FLUSHED} has logs of a longer one"),
        (compacted_index_key("tenant", START_NS, 3), 12 * HOUR_NS, None),  # its name does not tell
        ("tenant/index/mine/own", 12 * HOUR_NS, None),
        (f"{DIRECTORY}own", 12 * HOUR_NS, None),
    ],
)
async def test_store_from_before_periods_were_recorded(key: str, period_ns: int, message: str | None) -> None:
    store = MemoryStore()
    await store.put(key, b"")
    ours = OnePeriod(store, period_ns)
    if message is not None:
        with pytest.raises(PeriodDiffers) as caught:
            await ours.put(CHUNK, b"")
        end = ": set it to what these logs were written with, or use another store"
        assert str(caught.value) == f"index.period {message}{end}"
        assert await keys(store) == [key]
        return
    await ours.put(CHUNK, b"")
    assert await recorded_ns(store) == period_ns


async def test_damage_of_the_record_is_named() -> None:
    store = MemoryStore()
    data = encode_index_period(DAY_NS)
    for damaged in (data[:5], data[:-1], data[:-1] + b"?"):
        await store.put(INDEX_PERIOD_KEY, damaged)
        with pytest.raises(CorruptData, match=f"index period {INDEX_PERIOD_KEY}"):
            await OnePeriod(store, DAY_NS).check()
