"""Queries for ids read no chunk that cannot hold them, and miss none that does."""

import hashlib

import polars as pl
import pytest

from cluster import LATER_NS, TENANT, Cluster
from log_aggregator.engine.steps import Steps
from log_aggregator.formats.errors import CorruptData
from log_aggregator.formats.metadata import format_metadata
from log_aggregator.logql.ast import LogExpr, MetricExpr
from log_aggregator.logql.parser import parse_expr
from log_aggregator.model.segment import METADATA, Segment
from log_aggregator.services.log_query import LogAnswer, LogQueries, LogQuery
from log_aggregator.services.metric_query import MetricQueries
from replica import HOUR_NS, Entry, Replica, segment_of


def trace(chunk: int, line: int) -> str:
    return hashlib.sha256(f"{chunk} {line}".encode()).hexdigest()[:32]


async def chunks_with_traces(cluster: Cluster, count: int) -> None:
    """Each of its own hundred traces."""
    writer = await cluster.writer()
    for chunk in range(count):
        entries = [
            Entry(TENANT, "a", 1000 * chunk + line, f'{{"trace_id":"{trace(chunk, line)}","n":{line}}}')
            for line in range(100)
        ]
        await writer.push(entries)
        await writer.flush()


async def ask(reader: Replica, text: str) -> LogAnswer:
    expr = parse_expr(text)
    assert isinstance(expr, LogExpr)
    return await LogQueries(reader.scanner).run(TENANT, LogQuery(expr, 0, HOUR_NS, 1000, "forward"))


async def test_an_id_is_found_in_its_chunk_alone(cluster: Cluster) -> None:
    await chunks_with_traces(cluster, 4)
    answer = await ask(cluster.reader(), f'{{stream="a"}} |= "{trace(2, 5)}"')
    assert [row.timestamp_ns for row in answer.rows] == [2005]
    assert answer.statistics.chunks_downloaded == 1


async def test_a_piece_of_an_id_is_found(cluster: Cluster) -> None:
    await chunks_with_traces(cluster, 2)
    answer = await ask(cluster.reader(), f'{{stream="a"}} |= "{trace(1, 7)[5:25]}"')
    assert [row.timestamp_ns for row in answer.rows] == [1007]


async def test_an_absent_id_reads_no_chunk(cluster: Cluster) -> None:
    await chunks_with_traces(cluster, 4)
    answer = await ask(cluster.reader(), '{stream="a"} |= "deadbeef00112233445566778899aabb"')
    assert answer.rows == []
    assert answer.statistics.chunks_downloaded == 0
    assert 0 < answer.statistics.store_bytes < 4 * 4 * 4096


async def test_any_of_several_ids_is_found(cluster: Cluster) -> None:
    await chunks_with_traces(cluster, 3)
    answer = await ask(cluster.reader(), f'{{stream="a"}} |= "{trace(0, 1)}" or "{trace(2, 1)}"')
    assert [row.timestamp_ns for row in answer.rows] == [1, 2001]
    assert answer.statistics.chunks_downloaded == 2


async def test_a_metric_query_for_an_id_reads_its_chunk_alone(cluster: Cluster) -> None:
    await chunks_with_traces(cluster, 4)
    expr = parse_expr(f'count_over_time({{stream="a"}} |= "{trace(3, 9)}" [1h])')
    assert isinstance(expr, MetricExpr)
    answer = await MetricQueries(cluster.reader().scanner).run(TENANT, expr, Steps.at(HOUR_NS - 1))
    assert [sample.value for sample in answer.vectors[0]] == [1.0]
    assert answer.statistics.chunks_downloaded == 1


async def test_compacted_chunks_are_skipped_too(cluster: Cluster) -> None:
    await chunks_with_traces(cluster, 4)
    assert await cluster.reader().compactor.compact(TENANT, 0, LATER_NS) is not None
    reader = cluster.reader()
    absent = await ask(reader, '{stream="a"} |= "deadbeef00112233445566778899aabb"')
    assert absent.statistics.chunks_downloaded == 0
    assert len((await ask(reader, f'{{stream="a"}} |= "{trace(2, 5)}"')).rows) == 1


async def test_a_label_of_the_stream_is_not_looked_for_in_the_chunk(cluster: Cluster) -> None:
    stream = "00112233-4455-6677-8899-aabbccddeeff"
    writer = await cluster.writer()
    await writer.push([Entry(TENANT, stream, 1, "line")])
    await writer.flush()
    assert len((await ask(cluster.reader(), f'{{stream=~".+"}} | stream="{stream}"')).rows) == 1
    assert (await ask(cluster.reader(), f'{{stream=~".+"}} | trace="{stream}"')).statistics.chunks_downloaded == 0


async def test_an_id_in_the_metadata_is_found_in_its_chunk_alone(cluster: Cluster) -> None:
    writer = await cluster.writer()
    for number in range(3):
        segment = segment_of([Entry(TENANT, "a", number, "line")])
        metadata = pl.lit(*format_metadata([{"trace_id": trace(number, 0)}])).alias(METADATA)
        segment = Segment(segment.streams, segment.frame.with_columns(metadata))
        await writer.ingester.push(TENANT, segment, segment.text_bytes())
        await writer.flush()
    answer = await ask(cluster.reader(), f'{{stream="a"}} | trace_id="{trace(1, 0)}"')
    assert [row.timestamp_ns for row in answer.rows] == [1]
    assert answer.statistics.chunks_downloaded == 1


async def test_a_damaged_filter_is_reported(cluster: Cluster) -> None:
    await chunks_with_traces(cluster, 1)
    (key,) = await cluster.keys("chunks")
    reader = cluster.reader()
    (index,) = await reader.catalog.load(await reader.catalog.keys(TENANT, 0, HOUR_NS))
    data = bytearray(await cluster.store.get(key))
    footer = len(data) - 8 - len(index.chunks[0].footer)
    data[footer - 10] ^= 1
    await cluster.store.put(key, bytes(data))
    with pytest.raises((CorruptData, ExceptionGroup)):
        await ask(reader, f'{{stream="a"}} |= "{trace(0, 1)}"')
