"""Damaged and lost objects: explicit errors of queries, what `verify` finds, what `rebuild-index` restores."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest

from cluster import LATER_NS, TENANT, Cluster, flipped
from log_aggregator.errors import LogAggregatorError, first_of
from log_aggregator.formats.delete_request import DeleteRequest
from log_aggregator.formats.errors import CorruptData
from log_aggregator.formats.index_period import encode_index_period
from log_aggregator.formats.keys import INDEX_PERIOD_KEY, begun_index_key
from log_aggregator.formats.parquet import ParquetFooter
from log_aggregator.model.segment import LINE
from log_aggregator.services.compaction_plan import Run
from log_aggregator.services.hidden_rows import HiddenRows, deletion_of
from log_aggregator.services.rebuild import rebuild_indexes
from log_aggregator.services.verify import Finding, Severity, verify_store
from replica import HOUR_NS, Entry, Fate, Replica


async def compact(cluster: Cluster) -> None:
    await cluster.reader().compactor.compact(TENANT, 0, LATER_NS)


DAMAGES: list[Callable[[bytes], bytes]] = [
    lambda data: flipped(data, len(data) // 3),
    lambda data: flipped(data, len(data) - 3),
    lambda data: data[: len(data) // 2],
]


async def first_error(cluster: Cluster) -> LogAggregatorError:
    with pytest.raises((LogAggregatorError, ExceptionGroup)) as caught:
        await cluster.reader().entries(TENANT)
    error = first_of(caught.value)
    assert isinstance(error, LogAggregatorError)
    return error


async def test_a_whole_store_is_found_whole(cluster: Cluster) -> None:
    entries = await cluster.flushed(3)
    await compact(cluster)
    await cluster.flushed(1, "other")
    report = await verify_store(cluster.store)
    assert report.is_whole
    assert (report.tenants, report.chunks, report.entries) == (2, 2, len(entries) + 10)
    assert {finding.severity for finding in report.findings} == {Severity.LEFTOVER}
    assert len(report.findings) == 4  # the index objects that are replaced, the one that began the period among them


@pytest.mark.parametrize("compacted", [False, True])
@pytest.mark.parametrize("part", ["index", "chunks"])
@pytest.mark.parametrize("damage", DAMAGES)
async def test_damage_is_named(cluster: Cluster, part: str, compacted: bool, damage: Callable[[bytes], bytes]) -> None:
    await cluster.flushed(2)
    if compacted:
        await compact(cluster)
    name = [key for key in await cluster.keys(part) if compacted == ("compacted." in key)][-1]
    await cluster.store.put(name, damage(await cluster.store.get(name)))
    report = await verify_store(cluster.store)
    assert [finding.key for finding in report.findings if finding.severity is Severity.DAMAGE] == [name]
    assert not report.is_whole


async def test_damage_of_the_recorded_index_period_is_named(cluster: Cluster) -> None:
    await cluster.flushed(1)
    await cluster.store.put(INDEX_PERIOD_KEY, encode_index_period(HOUR_NS))
    report = await verify_store(cluster.store)
    assert (report.is_whole, report.tenants) == (True, 1)
    await cluster.store.put(INDEX_PERIOD_KEY, flipped(encode_index_period(HOUR_NS), 20))
    (finding,) = (await verify_store(cluster.store)).findings
    assert finding == Finding(Severity.DAMAGE, INDEX_PERIOD_KEY, "index period @index-period fails its checksum")


@pytest.mark.parametrize("part", ["index", "chunks"])
async def test_a_query_that_meets_damage_names_the_object(cluster: Cluster, part: str) -> None:
    await cluster.flushed(1)
    (name,) = await cluster.keys(part)
    data = await cluster.store.get(name)
    place = len(data) // 3 if part == "index" else ParquetFooter.of_file(data).row_groups[0].spans[LINE].start + 9
    await cluster.store.put(name, flipped(data, place))
    error = await first_error(cluster)
    assert isinstance(error, CorruptData)
    assert name in str(error)


async def test_a_query_that_misses_a_chunk_names_it(cluster: Cluster) -> None:
    await cluster.flushed(1)
    (name,) = await cluster.keys("chunks")
    await cluster.store.delete([name])
    error = await first_error(cluster)
    assert isinstance(error, CorruptData)
    assert name in str(error)
    report = await verify_store(cluster.store)
    assert [finding.message for finding in report.findings] == [f"chunk {name} is missing"]


@pytest.mark.parametrize("rounds", [0, 1, 2])
async def test_index_objects_are_rebuilt_from_chunks_alone(cluster: Cluster, rounds: int) -> None:
    entries = await cluster.flushed(3)
    for _ in range(rounds):
        await compact(cluster)
        entries = list({*entries, *(await cluster.flushed(4))})
    before = {key: await cluster.store.get(key) for key in await cluster.keys("index")}
    await cluster.store.delete(list(before))
    await cluster.redis.flushdb()
    rebuilt = await rebuild_indexes(cluster.store)
    assert rebuilt.findings == []
    reader = cluster.reader()
    assert sorted(await reader.entries(TENANT)) == sorted(entries)
    assert (await verify_store(cluster.store)).is_whole
    if not rounds:
        assert set(await cluster.keys("index")) == set(before)
    assert (await rebuild_indexes(cluster.store)).written == []


async def rebuild(cluster: Cluster) -> None:
    """From chunks alone."""
    await cluster.store.delete(await cluster.keys("index"))
    await cluster.redis.flushdb()
    await rebuild_indexes(cluster.store)


async def test_what_stayed_of_a_run_is_rebuilt_beside_what_was_written_anew(cluster: Cluster) -> None:
    def smallest(runs: Sequence[Run], *, closed: bool) -> list[Run]:
        return sorted(runs, key=lambda run: len(run.chunks))[:2]

    entries = await cluster.flushed(3)
    replica = Replica(cluster.redis, cluster.names, cluster.store, "compactor", choose=smallest, cell_text_bytes=50)
    await replica.compactor.compact(TENANT, 0, LATER_NS)
    # One of the chunks is written anew, and then merged with what has come since.
    deletion = deletion_of(DeleteRequest("one", 0, 1000, 1001, "{}"), None)
    assert await replica.compactor.erase(TENANT, 0, HiddenRows((deletion,), None, LATER_NS)) is not None
    entries = [entry for entry in entries if entry.timestamp_ns != 1000]
    late = Entry(TENANT, "stream-0", 5000, "late")
    writer = await cluster.writer()
    await writer.push([late])
    await writer.flush()
    done = await replica.compactor.compact(TENANT, 0, LATER_NS)
    assert done is not None
    assert done.merged_runs == 2
    await replica.janitor.collect(TENANT, 0, time.time_ns())
    await rebuild(cluster)
    assert sorted(await cluster.reader().entries(TENANT)) == sorted([*entries, late])


async def test_what_a_dead_compactor_has_written_hides_nothing_that_is_rebuilt(cluster: Cluster) -> None:
    entries = await cluster.flushed(3)
    for step in range(40):
        replica = Replica(cluster.redis, cluster.names, cluster.store, f"compactor {step}", cell_text_bytes=50)
        replica.gate.plan(step, Fate.FAILED)
        with suppress(LogAggregatorError, ExceptionGroup):
            await replica.compactor.compact(TENANT, 0, LATER_NS)
        compacted = [key for key in await cluster.keys("chunks") if "compacted." in key]
        if compacted:
            break
    assert [key for key in await cluster.keys("index") if "compacted." in key] == [begun_index_key(TENANT, 0)]
    await rebuild(cluster)
    assert sorted(await cluster.reader().entries(TENANT)) == sorted(entries)


async def test_what_a_damaged_run_was_merged_from_is_rebuilt_too(cluster: Cluster) -> None:
    entries = await cluster.flushed(3)
    compactor = Replica(cluster.redis, cluster.names, cluster.store, "compactor", cell_text_bytes=50).compactor
    await compactor.compact(TENANT, 0, LATER_NS)
    damaged, *others = [key for key in await cluster.keys("chunks") if "compacted." in key]
    assert others
    await cluster.store.put(damaged, b"garbage")
    await rebuild(cluster)
    assert sorted(await cluster.reader().entries(TENANT)) == sorted(entries)


async def test_a_damaged_compacted_index_object_is_rebuilt(cluster: Cluster) -> None:
    entries = await cluster.flushed(3)
    await compact(cluster)
    name = [key for key in await cluster.keys("index") if "compacted." in key][-1]
    await cluster.store.put(name, b"garbage")
    await rebuild_indexes(cluster.store)
    await cluster.redis.flushdb()
    assert sorted(await cluster.reader().entries(TENANT)) == sorted(entries)
