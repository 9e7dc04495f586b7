"""Entries are found exactly once before, during and after compactions, whatever becomes of the compactor."""

import asyncio
import time
from collections.abc import Sequence

import pytest

from clocks import SetClock
from cluster import LATER_NS, TENANT, Cluster, flipped
from log_aggregator.model.segment import LINE
from log_aggregator.services import compactor
from log_aggregator.services.compaction_plan import Run
from log_aggregator.services.compactor import Compaction, Compactor, RowsUnread
from log_aggregator.services.statistics import ScanStatistics
from log_aggregator.services.units import Scan
from log_aggregator.storage.errors import ObjectExists
from log_aggregator.storage.memory import MemoryStore
from replica import HOUR_NS, Entry, Fate, Killed, Replica


async def compact(replica: Replica, tenant: str = TENANT) -> Compaction | None:
    return await replica.compactor.compact(tenant, 0, LATER_NS)


async def collect(replica: Replica, tenant: str = TENANT) -> None:
    await replica.janitor.collect(tenant, 0, time.time_ns())


async def assert_found(reader: Replica, entries: list[Entry], tenant: str = TENANT) -> None:
    assert sorted(await reader.entries(tenant)) == sorted(entries)


async def test_flushes_become_one_chunk_and_one_index_object(cluster: Cluster) -> None:
    entries = await cluster.flushed(5)
    reader = cluster.reader()
    await assert_found(reader, entries)
    done = await compact(cluster.reader())
    assert done is not None
    assert (done.merged_runs, done.rows_read, done.rows_written) == (5, 50, 50)
    await assert_found(reader, entries)
    assert len(await cluster.keys("index")) == 7
    await collect(cluster.reader())
    assert len(await cluster.keys("index")) == len(await cluster.keys("chunks")) == 1
    for replica in (reader, cluster.reader()):
        await assert_found(replica, entries)


async def test_a_compacted_period_is_left_alone(cluster: Cluster) -> None:
    await cluster.flushed(3)
    assert await compact(cluster.reader()) is not None
    assert await compact(cluster.reader()) is None


async def test_a_period_without_data_is_left_alone(cluster: Cluster) -> None:
    assert await compact(cluster.reader()) is None


async def test_late_data_joins_a_compacted_period(cluster: Cluster) -> None:
    entries = await cluster.flushed(3)
    await compact(cluster.reader())
    entries = [*entries, *(await cluster.flushed(2))]
    reader = cluster.reader()
    await assert_found(reader, list(set(entries)))
    await compact(cluster.reader())
    await collect(cluster.reader())
    await assert_found(reader, list(set(entries)))
    assert len(await cluster.keys("index")) == 1


async def test_a_run_that_stays_hides_nothing_that_is_merged_beside_it(cluster: Cluster) -> None:
    def but_the_first(runs: Sequence[Run], *, closed: bool) -> list[Run]:
        return list(runs[1:]) if len(runs) > 2 else []

    writer = await cluster.writer()
    # One that goes on, with what it remembers of earlier generations.
    reader = Replica(cluster.redis, cluster.names, cluster.store, "compactor", choose=but_the_first)
    entries = []
    for number in range(8):
        entries.append(Entry(TENANT, f"stream-{number % 3}", number, f"line {number}"))
        await writer.push(entries[-1:])
        await writer.flush()
        await compact(reader)
        await assert_found(reader, entries)
    await assert_found(cluster.reader(), entries)


async def test_a_compaction_that_misses_rows_replaces_nothing(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = await cluster.flushed(3)
    replica = cluster.reader()
    monkeypatch.setattr(compactor, "_units", lambda *arguments: [])
    with pytest.raises(RowsUnread, match="0 of 30 rows"):
        await compact(replica)
    await assert_found(replica, entries)
    assert len(await cluster.keys("chunks")) == 3


async def test_repeated_pushes_are_stored_once(cluster: Cluster) -> None:
    entries = await cluster.flushed(2)
    assert await cluster.flushed(2) == entries
    done = await compact(cluster.reader())
    assert done is not None
    assert (done.rows_read, done.rows_written) == (40, 20)
    await assert_found(cluster.reader(), entries)


async def test_a_large_merge_is_cut_into_chunks_by_time(cluster: Cluster) -> None:
    entries = await cluster.flushed(8)
    replica = cluster.reader()
    small = Compactor(
        cluster.store, replica.catalog, replica.scanner, HOUR_NS, lambda: asyncio.sleep(0), cell_text_bytes=200
    )
    await small.compact(TENANT, 0, LATER_NS)
    await collect(replica)
    assert 3 <= len(await cluster.keys("chunks")) <= 6
    await assert_found(cluster.reader(), entries)
    assert await compact(replica) is None  # the chunks are one run


async def test_a_month_of_backfill_is_found_at_once_in_its_own_periods(cluster: Cluster) -> None:
    writer = await cluster.writer()
    entries = [Entry(TENANT, "stream", day * 2 * HOUR_NS, f"day {day}") for day in range(30)]
    await writer.push(entries)
    await assert_found(cluster.reader(), entries)
    await writer.flush()
    await assert_found(cluster.reader(), entries)
    assert await cluster.reader().janitor.periods(TENANT) == [day * 2 * HOUR_NS for day in range(30)]


async def test_a_period_that_was_removed_and_has_entries_again_is_not_mistaken_for_itself(cluster: Cluster) -> None:
    calendar = SetClock(LATER_NS)
    cluster.store = MemoryStore(calendar)
    # They remember what they have read.
    readers, names = [cluster.reader(), cluster.reader()], set[str]()
    for life in range(3):
        writer = await cluster.writer()
        entries = [Entry(TENANT, f"stream-{n % 2}", n, f"line {n} of life {life}") for n in range(6)]
        for entry in entries:
            await writer.push([entry])
            await writer.flush()
        for replica in readers:
            await compact(replica)
            await replica.janitor.collect(TENANT, 0, calendar.now_ns() + HOUR_NS)
            for reader in readers:
                await assert_found(reader, entries)
        found = {*(await cluster.keys("index")), *(await cluster.keys("chunks"))}
        assert len(found) == 2
        assert names.isdisjoint(found)
        names |= found
        await readers[0].janitor.expire(TENANT, 0)
        for reader in readers:
            await assert_found(reader, [])
        calendar.time_ns += HOUR_NS


async def test_a_compactor_that_is_paused_at_any_step_while_another_one_begins_anew(cluster: Cluster) -> None:
    calendar = SetClock(LATER_NS)
    cluster.store = MemoryStore(calendar)
    for step in range(await steps_of(cluster, "counted")):
        tenant = f"tenant-{step}"
        entries = await cluster.flushed(3, tenant)
        paused, other = cluster.reader(), cluster.reader()
        paused.gate.plan(step, Fate.HELD)
        attempt = asyncio.create_task(compact(paused, tenant))
        reached = asyncio.create_task(paused.gate.held.wait())
        await asyncio.wait([attempt, reached], return_when=asyncio.FIRST_COMPLETED)
        reached.cancel()
        # Long enough that the object with which the period was begun is collected, and may be put again, later.
        for _ in range(2):
            calendar.time_ns += 3 * HOUR_NS
            entries = list({*entries, *(await cluster.flushed(4, tenant))})
            await compact(other, tenant)
            await other.janitor.collect(tenant, 0, calendar.now_ns() + HOUR_NS)
        calendar.time_ns += 3 * HOUR_NS
        paused.gate.resumed.set()
        await asyncio.gather(attempt, return_exceptions=True)
        await other.catalog.forget(tenant, 0)
        await assert_found(cluster.reader(), entries, tenant)
        await other.janitor.collect(tenant, 0, calendar.now_ns() + HOUR_NS)
        await assert_found(cluster.reader(), entries, tenant)


async def steps_of(cluster: Cluster, tenant: str) -> int:
    await cluster.flushed(3, tenant)
    replica = cluster.reader()
    await compact(replica, tenant)
    await collect(replica, tenant)
    return replica.gate.passed


@pytest.mark.parametrize("fate", [Fate.KILLED, Fate.FAILED, Fate.LOST])
async def test_a_compaction_that_ends_at_any_step(cluster: Cluster, fate: Fate) -> None:
    for step in range(await steps_of(cluster, "counted")):
        tenant = f"tenant-{step}"
        entries = await cluster.flushed(3, tenant)
        watcher, ending = cluster.reader(), cluster.reader()
        await assert_found(watcher, entries, tenant)
        ending.gate.plan(step, fate)
        try:
            await compact(ending, tenant)
            await collect(ending, tenant)
        except (Exception, Killed):
            pass
        for reader in (watcher, cluster.reader()):
            await assert_found(reader, entries, tenant)
        successor = cluster.reader()
        await compact(successor, tenant)
        await collect(successor, tenant)
        for reader in (watcher, cluster.reader()):
            await assert_found(reader, entries, tenant)


async def test_a_compactor_that_is_paused_at_any_step_while_another_one_works(cluster: Cluster) -> None:
    for step in range(await steps_of(cluster, "counted")):
        tenant = f"tenant-{step}"
        entries = await cluster.flushed(3, tenant)
        watcher, paused, other = cluster.reader(), cluster.reader(), cluster.reader()
        await assert_found(watcher, entries, tenant)
        paused.gate.plan(step, Fate.HELD)

        async def work(replica: Replica, tenant: str) -> None:
            await compact(replica, tenant)
            await collect(replica, tenant)

        attempt = asyncio.create_task(work(paused, tenant))
        await paused.gate.held.wait()
        await compact(other, tenant)
        # More data, so that the other one's object of the next generation is replaced and collected too.
        entries = list({*entries, *(await cluster.flushed(4, tenant))})
        await compact(other, tenant)
        await collect(other, tenant)
        await assert_found(watcher, entries, tenant)
        paused.gate.resumed.set()
        await asyncio.gather(attempt, return_exceptions=True)
        for reader in (watcher, cluster.reader()):
            await assert_found(reader, entries, tenant)
        await compact(other, tenant)
        await collect(other, tenant)
        for reader in (watcher, cluster.reader()):
            await assert_found(reader, entries, tenant)


async def test_of_two_compactors_that_planned_alike_one_gives_way(cluster: Cluster) -> None:
    entries = await cluster.flushed(3)
    replicas = [cluster.reader(), cluster.reader()]
    outcomes = await asyncio.gather(*(compact(replica) for replica in replicas), return_exceptions=True)
    assert sum(isinstance(outcome, ObjectExists) for outcome in outcomes) == 1
    await assert_found(cluster.reader(), entries)


async def compacted_under_an_old_redis(cluster: Cluster) -> list[Entry]:
    """What two flushes wrote before they were merged. Redis is as it was before the first of them."""
    writer = await cluster.writer()
    entries = [Entry(TENANT, "stream", n, f"line {n}") for n in range(4)]
    await writer.push(entries[:2])
    state = await cluster.redis_state()
    await writer.flush()
    await writer.push(entries[2:])
    await writer.flush()
    await compact(cluster.reader())
    await collect(cluster.reader())
    await cluster.restore_redis(state)
    return entries


async def test_records_that_come_back_with_an_old_redis_are_still_covered(cluster: Cluster) -> None:
    entries = await compacted_under_an_old_redis(cluster)
    # Until a list is forgotten, readers may lack what was written meanwhile; what they see, they see once.
    await cluster.reader().catalog.forget(TENANT, 0)
    await assert_found(cluster.reader(), entries)


async def test_a_list_of_collected_objects_heals_itself(cluster: Cluster) -> None:
    entries = await cluster.flushed(2)
    await assert_found(cluster.reader(), entries)
    state = await cluster.redis_state()
    await compact(cluster.reader())
    await collect(cluster.reader())
    await cluster.restore_redis(state)
    reader = cluster.reader()
    with pytest.raises(ExceptionGroup, match="unhandled errors"):
        await reader.entries(TENANT)
    await assert_found(reader, entries)


async def test_a_flush_whose_commit_was_lost_does_not_repeat_what_was_compacted(cluster: Cluster) -> None:
    entries = await compacted_under_an_old_redis(cluster)
    await cluster.redis.delete(*[key for key in await cluster.redis_keys() if b":lease:" in key or b":index:" in key])
    await cluster.reader().takeover.sweep()
    await assert_found(cluster.reader(), entries)
    assert len(await cluster.keys("chunks")) == 1


async def test_a_reader_that_began_before_goes_on_with_what_was_replaced(cluster: Cluster) -> None:
    entries = await cluster.flushed(3)
    reader = cluster.reader()
    scan = Scan(TENANT, 0, HOUR_NS, lambda labels: True)
    units = await reader.scanner.units(scan, ScanStatistics())
    await compact(cluster.reader())
    found = [
        line for unit in units for line in (await reader.scanner.load(unit, scan, [LINE], ScanStatistics())).frame[LINE]
    ]
    assert sorted(found) == sorted(entry.line for entry in entries)


async def test_what_is_flushed_beside_a_damaged_object_is_kept_and_counts_once(cluster: Cluster) -> None:
    entries = await cluster.flushed(3)
    writer = await cluster.writer()
    await compact(cluster.reader())
    await collect(cluster.reader())
    (compacted,) = await cluster.keys("index")
    data = await cluster.store.get(compacted)
    await cluster.store.put(compacted, flipped(data, len(data) // 2))
    late = [Entry(TENANT, "stream-0", 5, "late"), entries[0]]
    other = Entry("other", "stream", 5, "line")
    await writer.push(late)
    await writer.push([other])
    await writer.flush()
    reader = cluster.reader()
    assert await reader.entries("other") == [other]
    with pytest.raises(ExceptionGroup):
        await reader.entries(TENANT)
    await cluster.store.put(compacted, data)
    await assert_found(reader, [*entries, late[0]])
    assert await compact(cluster.reader()) is not None
    await assert_found(reader, [*entries, late[0]])


async def test_a_file_that_is_not_ours_is_passed_over(cluster: Cluster) -> None:
    entries = await cluster.flushed(2)
    index, *_ = await cluster.keys("index")
    directory = index.rpartition("/")[0]
    for name in (f"{directory}/notes.txt", f"{TENANT}/index/lost+found/x"):
        await cluster.store.put(name, b"")
    await cluster.wipe_redis()
    writer = await cluster.writer()
    late = Entry(TENANT, "stream-0", 5, "late")
    await writer.push([late])
    await writer.flush()
    await assert_found(cluster.reader(), [*entries, late])
    assert await compact(cluster.reader()) is not None
    await collect(cluster.reader())
    await assert_found(cluster.reader(), [*entries, late])
    assert f"{directory}/notes.txt" in await cluster.keys("index")


async def test_chunks_of_an_index_object_of_an_unknown_name_are_kept(cluster: Cluster) -> None:
    """It may be one of a later version of this program."""
    entries = await cluster.flushed(2)
    (index, *_), chunks = await cluster.keys("index"), await cluster.keys("chunks")
    unknown = f"{index}.new"
    data = await cluster.store.get(index)
    await cluster.store.put(unknown, data)
    await cluster.store.delete([index])
    later_ns = time.time_ns() + 48 * HOUR_NS
    await cluster.reader().janitor.collect(TENANT, 0, later_ns)
    assert await cluster.keys("chunks") == chunks
    await cluster.store.put(index, data)
    await cluster.store.delete([unknown])
    await cluster.wipe_redis()
    await assert_found(cluster.reader(), entries)
    await cluster.store.delete([index])
    await cluster.reader().janitor.collect(TENANT, 0, later_ns)
    assert len(await cluster.keys("chunks")) == len(chunks) - 1
