"""Acknowledged entries are found exactly once, whatever becomes of the replica that took them."""

import asyncio
import gc
import threading
from contextlib import suppress
from typing import Any

import polars as pl
import pytest

from cluster import Cluster
from log_aggregator.errors import LogAggregatorError
from log_aggregator.services import ingester
from log_aggregator.services.buffer_room import BufferFull
from log_aggregator.services.ingester import FlushPolicy
from log_aggregator.wal.errors import Fenced, RecordsLost, WalUnavailable
from replica import HOUR_NS, Entry, Fate, Replica
from waiting import until


def entries_of(name: str, tenant: str = "tenant", periods: int = 2) -> list[Entry]:
    """Of two streams, in several index periods."""
    return [
        Entry(tenant, f"stream-{number % 2}", number * HOUR_NS // 2, f"{name} {number}")
        for number in range(periods * 2)
    ]


async def assert_found(reader: Replica, *acknowledged: list[Entry], tenant: str = "tenant") -> None:
    expected = sorted(entry for entries in acknowledged for entry in entries if entry.tenant == tenant)
    assert sorted(await reader.entries(tenant)) == expected


async def ends(attempt: "asyncio.Task[Any]") -> Any:
    """Its result or its error."""
    return (await asyncio.gather(attempt, return_exceptions=True))[0]


async def test_acknowledged_is_visible_on_every_replica_before_and_after_a_flush(cluster: Cluster) -> None:
    writer, reader = await cluster.writer(), await cluster.writer()
    await writer.push(entries_of("one"))
    for replica in (writer, reader, cluster.reader()):
        await assert_found(replica, entries_of("one"))
    await writer.flush()
    for replica in (writer, reader, cluster.reader()):
        await assert_found(replica, entries_of("one"))


async def test_pushes_of_many_tenants_at_once_go_their_own_ways(cluster: Cluster) -> None:
    writer = await cluster.writer()
    tenants = [f"tenant-{number}" for number in range(5)]
    await asyncio.gather(*(writer.push(entries_of("x", tenant)) for tenant in tenants for _ in range(3)))
    await writer.flush()
    for tenant in tenants:
        await assert_found(cluster.reader(), entries_of("x", tenant), tenant=tenant)


async def test_texts_are_compared_beside_the_event_loop(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """There may be a whole flush of them."""
    threads: set[threading.Thread] = set()
    unique = pl.DataFrame.unique

    def watched(frame: pl.DataFrame, *arguments: Any, **options: Any) -> pl.DataFrame:
        threads.add(threading.current_thread())
        return unique(frame, *arguments, **options)

    monkeypatch.setattr(pl.DataFrame, "unique", watched)
    writer = await cluster.writer()
    await writer.push(entries_of("x"))
    await writer.push(entries_of("x"))
    await assert_found(writer, entries_of("x"))
    await writer.flush()
    await assert_found(cluster.reader(), entries_of("x"))
    assert threads
    assert threading.current_thread() not in threads


async def test_times_of_a_period_that_begins_before_64_bits_stop_no_flush(cluster: Cluster) -> None:
    """They are refused today. A log may have them from earlier."""
    writer = await cluster.writer()
    await writer.push([Entry("tenant", "old", -(1 << 63) + number, "x") for number in range(2)])
    await writer.push(entries_of("x"))
    await writer.flush()
    found = await cluster.reader().entries("tenant")
    assert set(entries_of("x")) <= set(found)


async def steps_of_a_flush(cluster: Cluster) -> int:
    writer = await cluster.writer()
    await writer.push(entries_of("counted", "counted"))
    before = writer.gate.passed
    await writer.flush()
    return writer.gate.passed - before


@pytest.mark.parametrize("fate", [Fate.KILLED, Fate.FAILED, Fate.LOST])
async def test_a_flush_that_ends_at_any_step(cluster: Cluster, fate: Fate) -> None:
    """Killed: a successor takes over. Failed or lost: the same replica tries again."""
    for step in range(await steps_of_a_flush(cluster)):
        tenant = f"tenant-{step}"
        watcher = cluster.reader()
        writer = await cluster.writer()
        one, two = entries_of("one", tenant), entries_of("two", tenant)
        await writer.push(one)
        await assert_found(watcher, one, tenant=tenant)  # makes the lists complete
        writer.gate.plan(step, fate)
        assert await ends(asyncio.create_task(writer.flush())) is not None
        for reader in (watcher, cluster.reader()):
            await assert_found(reader, one, tenant=tenant)
        if fate is Fate.KILLED:
            await cluster.expire_leases()
            await cluster.reader().takeover.sweep()
            writer = await cluster.writer()
        await writer.push(two)
        await writer.flush()
        for reader in (watcher, writer, cluster.reader()):
            await assert_found(reader, one, two, tenant=tenant)
        states = await writer.logs.states()
        assert await writer.logs.read([(state.wal, None) for state in states], 1) == [[]] * len(states)


async def test_successors_that_die_at_every_step_of_the_takeover(cluster: Cluster) -> None:
    writer = await cluster.writer()
    await writer.push(entries_of("one"))
    await writer.end()
    watcher = cluster.reader()
    await assert_found(watcher, entries_of("one"))
    step = 0
    while await watcher.logs.states():
        assert step < 20
        await cluster.expire_leases()
        successor = cluster.reader()
        successor.gate.plan(step, Fate.KILLED)
        await ends(asyncio.create_task(successor.takeover.sweep()))
        for reader in (watcher, cluster.reader()):
            await assert_found(reader, entries_of("one"))
        step += 1
    assert step > 5


@pytest.mark.parametrize("more", [False, True])
async def test_a_holder_that_wakes_up_after_its_lease(cluster: Cluster, more: bool) -> None:
    """It was paused at any step of its flush; its successor has flushed what it knew, and perhaps more."""
    for step in range(await steps_of_a_flush(cluster)):
        tenant = f"tenant-{step}-{more}"
        one, two = entries_of("one", tenant), entries_of("two", tenant)
        watcher, writer = cluster.reader(), await cluster.writer()
        await writer.push(one)
        await assert_found(watcher, one, tenant=tenant)
        writer.gate.plan(step, Fate.HELD)
        flush = asyncio.create_task(writer.flush())
        await writer.gate.held.wait()
        acknowledged = [one]
        if more:
            await writer.push(two)
            acknowledged.append(two)
        await cluster.expire_leases()
        await cluster.reader().takeover.sweep()
        for reader in (watcher, cluster.reader()):
            await assert_found(reader, *acknowledged, tenant=tenant)
        writer.gate.resumed.set()
        await ends(flush)
        for reader in (watcher, cluster.reader()):
            await assert_found(reader, *acknowledged, tenant=tenant)
        three = entries_of("three", tenant)
        await writer.push(three)  # under a new lease
        await writer.flush()
        for reader in (watcher, writer, cluster.reader()):
            await assert_found(reader, *acknowledged, three, tenant=tenant)


async def test_two_late_index_objects_hide_nothing(cluster: Cluster) -> None:
    """The third holder relies on the first one's late object, and then the second one's smaller object comes."""
    one, two = entries_of("one", periods=1), entries_of("two", periods=1)
    first = await cluster.writer()
    await first.push(one)
    await first.push(two)
    first.gate.plan(2, Fate.HELD)  # listed, the chunk is written: before the put of the index object
    flush = asyncio.create_task(first.flush())
    await first.gate.held.wait()

    await cluster.expire_leases()
    second = cluster.reader()
    (state,) = await second.logs.states()
    lease = await second.logs.claim(state.wal, "second")
    assert lease is not None
    first.gate.resumed.set()
    await ends(flush)

    records = await second.takeover._read_slice(state.wal)
    await cluster.expire_leases()
    third = cluster.reader()
    await third.takeover.sweep()
    with pytest.raises(LogAggregatorError):
        await second.flusher.flush(lease, records[:1])
    for reader in (third, cluster.reader()):
        await assert_found(reader, one, two)


async def test_two_sweeps_at_once_flush_once(cluster: Cluster) -> None:
    writer = await cluster.writer()
    await writer.push(entries_of("one"))
    await writer.end()
    await cluster.expire_leases()
    sweeps = await asyncio.gather(*(cluster.reader().takeover.sweep() for _ in range(8)))
    assert sum(sweeps) == 1
    await assert_found(cluster.reader(), entries_of("one"))


async def test_an_append_whose_answer_is_lost_counts_once_after_the_retry(cluster: Cluster) -> None:
    writer, watcher = await cluster.writer(), cluster.reader()
    await writer.push(entries_of("zero"))
    writer.gate.plan(0, Fate.LOST)
    with pytest.raises(WalUnavailable):
        await writer.push(entries_of("one"))
    await writer.push(entries_of("one"))
    for reader in (writer, watcher, cluster.reader()):
        await assert_found(reader, entries_of("zero"), entries_of("one"))
    await writer.flush()
    for reader in (writer, watcher, cluster.reader()):
        await assert_found(reader, entries_of("zero"), entries_of("one"))


async def test_an_append_that_redis_does_much_later_is_taken_in(cluster: Cluster) -> None:
    writer, watcher = await cluster.writer(), cluster.reader()
    await writer.push(entries_of("zero"))
    (state,) = await writer.logs.states()
    held = await writer.logs.head(state.wal)
    writer.gate.plan(0, Fate.LOST)
    with pytest.raises(WalUnavailable):
        await writer.push(entries_of("late"))
    assert await writer.logs.head(state.wal) != held
    await writer.push(entries_of("one"))
    await writer.flush()
    await assert_found(watcher, entries_of("zero"), entries_of("late"), entries_of("one"))


async def test_a_wiped_redis_gets_back_what_is_in_memory(cluster: Cluster) -> None:
    writer, watcher = await cluster.writer(), cluster.reader()
    await writer.push(entries_of("flushed"))
    await writer.flush()
    await writer.push(entries_of("one"))
    await assert_found(watcher, entries_of("flushed"), entries_of("one"))
    await cluster.wipe_redis()
    await writer.push(entries_of("two"))
    acknowledged = [entries_of("flushed"), entries_of("one"), entries_of("two")]
    for reader in (writer, watcher, cluster.reader()):
        await assert_found(reader, *acknowledged)
    await writer.flush()
    for reader in (writer, watcher, cluster.reader()):
        await assert_found(reader, *acknowledged)


async def test_recovery_of_a_wiped_redis_may_itself_fail_at_any_step(cluster: Cluster) -> None:
    for step in range(4):
        tenant = f"tenant-{step}"
        writer = await cluster.writer()
        await writer.push(entries_of("one", tenant))
        await writer.push(entries_of("two", tenant))
        await cluster.wipe_redis()
        writer.gate.plan(step, Fate.LOST)
        await ends(asyncio.create_task(writer.push(entries_of("three", tenant))))
        await writer.push(entries_of("three", tenant))
        acknowledged = [entries_of(name, tenant) for name in ("one", "two", "three")]
        await assert_found(cluster.reader(), *acknowledged, tenant=tenant)
        await writer.flush()
        await assert_found(cluster.reader(), *acknowledged, tenant=tenant)


async def test_appends_that_redis_forgot_are_appended_anew(cluster: Cluster) -> None:
    writer, watcher = await cluster.writer(), cluster.reader()
    await writer.push(entries_of("kept"))
    older = await cluster.redis_state()
    await writer.push(entries_of("forgotten"))
    await assert_found(watcher, entries_of("kept"), entries_of("forgotten"))
    await cluster.restore_redis(older)
    await writer.push(entries_of("new"))
    acknowledged = [entries_of(name) for name in ("kept", "forgotten", "new")]
    for reader in (writer, watcher, cluster.reader()):
        await assert_found(reader, *acknowledged)
    await cluster.reader().takeover.sweep()
    await writer.flush()
    for reader in (writer, watcher, cluster.reader()):
        await assert_found(reader, *acknowledged)


async def test_forgotten_appends_of_a_holder_that_lost_its_lease_too(cluster: Cluster) -> None:
    writer = await cluster.writer()
    await writer.push(entries_of("kept"))
    older = await cluster.redis_state()
    await writer.push(entries_of("forgotten"))
    await cluster.restore_redis(older)
    await cluster.expire_leases()
    await cluster.reader().takeover.sweep()
    await writer.push(entries_of("new"))
    for reader in (writer, cluster.reader()):
        await assert_found(reader, *(entries_of(name) for name in ("kept", "forgotten", "new")))


@pytest.mark.parametrize("is_known", [False, True])
async def test_a_commit_that_redis_forgot(cluster: Cluster, is_known: bool) -> None:
    writer, watcher = await cluster.writer(), cluster.reader()
    await writer.push(entries_of("one"))
    await assert_found(watcher, entries_of("one"))
    older = await cluster.redis_state()
    await writer.flush()
    if is_known:
        await assert_found(watcher, entries_of("one"))
    await cluster.restore_redis(older)
    for reader in (writer, watcher, cluster.reader()):
        await assert_found(reader, entries_of("one"))
    await writer.push(entries_of("two"))
    for reader in (writer, watcher, cluster.reader()):
        await assert_found(reader, entries_of("one"), entries_of("two"))
    await ends(asyncio.create_task(writer.flush()))
    await cluster.reader().takeover.sweep()
    await writer.flush()
    for reader in (writer, watcher, cluster.reader()):
        await assert_found(reader, entries_of("one"), entries_of("two"))


async def test_stop_with_the_store_down_hands_the_log_over(cluster: Cluster) -> None:
    writer = await cluster.writer()
    await writer.push(entries_of("one"))
    writer.gate.plan(0, Fate.FAILED)
    await writer.ingester.stop(10)
    await assert_found(cluster.reader(), entries_of("one"))
    assert await cluster.reader().takeover.sweep() == 1
    await assert_found(cluster.reader(), entries_of("one"))


async def test_stop_flushes_and_removes_the_log(cluster: Cluster) -> None:
    writer = await cluster.writer()
    await writer.push(entries_of("one"))
    await writer.ingester.stop(10)
    assert await writer.logs.states() == []
    await assert_found(cluster.reader(), entries_of("one"))


async def test_a_log_that_cannot_be_flushed_does_not_block_the_others(cluster: Cluster) -> None:
    for name in ("one", "two", "three"):
        writer = await cluster.writer()
        await writer.push(entries_of(name))
        await writer.end()
    await cluster.expire_leases()
    successor = cluster.reader()
    successor.gate.plan(1, Fate.FAILED)
    assert await successor.takeover.sweep() == 2
    await assert_found(cluster.reader(), *(entries_of(name) for name in ("one", "two", "three")))


async def test_retries_at_another_replica_count_once(cluster: Cluster) -> None:
    one, two = await cluster.writer(), await cluster.writer()
    await one.push(entries_of("same"))
    await two.push(entries_of("same"))
    await assert_found(cluster.reader(), entries_of("same"))
    await one.flush()
    await assert_found(cluster.reader(), entries_of("same"))
    await two.flush()
    await assert_found(cluster.reader(), entries_of("same"))


def small(max_buffer_bytes: int, max_wait_seconds: float = 0.0) -> FlushPolicy:
    """A flush begins by itself at half of the bound."""
    return FlushPolicy(HOUR_NS, HOUR_NS, 1 << 20, max_buffer_bytes, max_wait_seconds)


async def test_buffer_bound_counts_rows_and_is_given_back(cluster: Cluster) -> None:
    writer = await cluster.writer(small(160_000))
    empty_lines = [Entry("tenant", "stream", number, "") for number in range(3000)]
    with pytest.raises(BufferFull, match="wait to be flushed: 0 of the tenant and 0 in all, with 157790 more, would"):
        await writer.push(empty_lines)
    await writer.push(empty_lines[:1000])
    with pytest.raises(BufferFull):
        await writer.push(empty_lines[1000:])
    await writer.flush()
    await writer.push(empty_lines[1000:])
    await assert_found(cluster.reader(), empty_lines)


async def test_an_older_redis_is_noticed_by_who_commits(cluster: Cluster) -> None:
    """What a replica flushed and stopped with in the lost moments is in the store, and in no list."""
    one, other, reader = await cluster.writer(), await cluster.writer(), cluster.reader()
    first, theirs, last = (Entry("tenant", "stream", time_ns, f"line {time_ns}") for time_ns in range(3))
    await one.push([first])
    await assert_found(reader, [first])  # which makes the lists complete
    older = await cluster.redis_state()
    await other.push([theirs])
    await other.flush()
    await other.ingester.stop(10)
    await one.flush()
    await cluster.restore_redis(older)
    await one.push([last])
    with suppress(ExceptionGroup, RecordsLost):
        await one.flush()
    await one.flush()
    for replica in (reader, cluster.reader()):
        await assert_found(replica, [first, theirs, last])


async def test_an_older_redis_is_noticed_by_who_has_a_log_without_records(cluster: Cluster) -> None:
    """A replica that was paused lost its log to another, which flushed it, in the lost moments. Both live."""
    paused, other, reader = await cluster.writer(), await cluster.writer(), cluster.reader()
    first, second = Entry("tenant", "stream", 1, "first"), Entry("tenant", "stream", 2, "second")
    await paused.push([first])
    await paused.flush()
    await assert_found(reader, [first])
    older = await cluster.redis_state()
    await paused.push([second])
    await cluster.expire_leases()
    await other.takeover.sweep()
    with suppress(ExceptionGroup, Fenced):
        await paused.flush()
    paused.gate.plan(3, Fate.FAILED)  # the append, once a new log is open
    with pytest.raises(WalUnavailable):
        await paused.push([Entry("tenant", "stream", 3, "refused")])
    await cluster.restore_redis(older)
    last = [Entry("tenant", "stream", 4, "last"), Entry("tenant", "stream", 5, "of the other")]
    await paused.push(last[:1])
    await other.push(last[1:])
    for replica in (reader, cluster.reader()):
        await assert_found(replica, [first, second, *last])


async def test_many_small_records_are_flushed_before_they_fill_the_memory(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each a table would take a hundred times its text, and queries pay for each."""
    monkeypatch.setattr(ingester, "_MOST_RECORDS", 2000)
    writer = await cluster.writer(small(1 << 30))
    lines = [Entry("tenant", "stream", number, f"line {number}") for number in range(2100)]
    tables = len([one for one in gc.get_objects() if isinstance(one, pl.DataFrame)])
    for line in lines[:1999]:
        await writer.push([line])
    gc.collect()
    assert len([one for one in gc.get_objects() if isinstance(one, pl.DataFrame)]) < tables + 200
    assert not [key async for key in cluster.store.list("tenant/")]
    await writer.push(lines[1999:])

    async def is_flushed() -> bool:
        return len([key async for key in cluster.store.list("tenant/index/")]) == 1

    await until(is_flushed)
    await assert_found(cluster.reader(), lines)


async def test_push_waits_for_a_flush_to_make_room(cluster: Cluster) -> None:
    writer = await cluster.writer(small(320_000, max_wait_seconds=60.0))
    lines = [Entry("tenant", "stream", number, "") for number in range(5000)]
    for first in range(0, 5000, 100):
        await writer.push(lines[first : first + 100])
    await assert_found(cluster.reader(), lines)


async def test_many_small_records_are_flushed_a_part_at_a_time(cluster: Cluster) -> None:
    """As tables they take many times what they do in the buffer."""
    writer = await cluster.writer(small(600_000))
    lines = [Entry("tenant", "stream", number, "") for number in range(200)]
    for line in lines:
        await writer.push([line])
    await writer.flush()
    assert len([key async for key in cluster.store.list("tenant/index/")]) == 2
    await assert_found(cluster.reader(), lines)


async def test_large_push_over_a_buffer_that_is_less_than_half_full_is_taken_after_a_flush(cluster: Cluster) -> None:
    writer = await cluster.writer(small(160_000))
    lines = [Entry("tenant", "stream", number, "") for number in range(2600)]
    await writer.push(lines[:1300])

    async def is_taken() -> bool:
        try:
            await writer.push(lines[1300:])
        except BufferFull:
            return False
        return True

    await until(is_taken)
    await assert_found(cluster.reader(), lines)


async def test_push_does_not_wait_for_flushes_that_fail(cluster: Cluster) -> None:
    writer = await cluster.writer(small(160_000, max_wait_seconds=60.0))
    lines = [Entry("tenant", "stream", number, "") for number in range(2350)]
    writer.gate.plan(3, Fate.HELD)  # not the append, but the flush that begins of itself after it
    held, resumed = writer.gate.held, writer.gate.resumed
    await writer.push(lines[:2150])
    await held.wait()
    waiting = asyncio.create_task(writer.push(lines[2150:]))
    await asyncio.sleep(0)
    writer.gate.plan(0, Fate.FAILED)
    resumed.set()
    assert isinstance(await ends(waiting), BufferFull)
    await writer.flush()
    await writer.push(lines[2150:])
    await assert_found(cluster.reader(), lines)


async def test_pushes_that_fail_or_are_given_up_take_no_room_for_ever(cluster: Cluster) -> None:
    writer = await cluster.writer(small(120_000))
    lines = [Entry("tenant", "stream", number, "") for number in range(900)]
    more = [Entry("tenant", "stream", number, "more") for number in range(1300)]
    for _ in range(5):
        writer.gate.plan(0, Fate.FAILED)
        with pytest.raises(WalUnavailable):
            await writer.push(lines)
    writer.gate.plan(0, Fate.HELD)
    given_up = asyncio.create_task(writer.push(lines))
    await writer.gate.held.wait()
    given_up.cancel()
    assert isinstance(await ends(given_up), asyncio.CancelledError)
    writer.gate.resumed.set()

    async def appended() -> bool:
        return len(await writer.entries("tenant")) == len(lines)

    await until(appended)
    with pytest.raises(BufferFull):  # it is in the log all the same, and unflushed
        await writer.push(more)
    await writer.flush()
    await writer.push(more)
    await assert_found(cluster.reader(), lines, more)


@pytest.mark.parametrize("lines", [1, 5_000])
async def test_small_pushes_wait_for_small_ones_and_not_beside_large_ones(cluster: Cluster, lines: int) -> None:
    writer = await cluster.writer()
    await writer.ingester.next_turn()
    writer.gate.plan(0, Fate.HELD)
    entries = [Entry("tenant", "a", number, "x" * 100) for number in range(lines)]
    push = asyncio.create_task(writer.push(entries))
    await writer.gate.held.wait()
    turn = asyncio.create_task(writer.ingester.next_turn())
    for _ in range(3):
        await asyncio.sleep(0)
    assert turn.done() == (lines > 1)
    writer.gate.resumed.set()
    await asyncio.gather(push, turn)
    await writer.ingester.next_turn()
