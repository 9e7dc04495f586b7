"""What is stored is answered alike by columns and by rows: flushed or not, pushed once or again."""

import asyncio
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from both_ways import STREAMS, Entry, assert_same
from hostile_entries import SECOND_NS, entries, log_expressions, range_aggregations, steps
from log_aggregator.engine.samples import PipelineFailed
from log_aggregator.engine.steps import Steps
from log_aggregator.engine.vector import Vector
from log_aggregator.formats.metadata import format_metadata
from log_aggregator.logql.ast import MetricExpr, RangeAggregation
from log_aggregator.model.segment import LINE, METADATA, SEGMENT_SCHEMA, STREAM, TIMESTAMP, Segment
from log_aggregator.services.log_query import LogQueries, LogQuery
from log_aggregator.services.metric_query import MetricQueries
from log_aggregator.storage.memory import MemoryStore
from log_aggregator.wal.connection import connect
from log_aggregator.wal.names import Names
from replica import HOUR_NS, Replica
from servers import RedisServer

TENANT = "tenant"
# So that entries lie on both sides of the end of an index period.
BASE_NS = 5 * HOUR_NS - 4 * SECOND_NS


@dataclass(frozen=True)
class Push:
    entries: list[Entry]
    is_repeated: bool
    is_flushed: bool


pushes = st.lists(
    st.builds(Push, st.lists(entries, min_size=1, max_size=12), st.booleans(), st.booleans()), min_size=1, max_size=4
)
log_queries = st.builds(
    LogQuery,
    log_expressions(),
    st.integers(-2, 6).map(lambda second: BASE_NS + second * SECOND_NS),
    st.integers(6, 12).map(lambda second: BASE_NS + second * SECOND_NS),
    st.integers(1, 20),
    st.sampled_from(("forward", "backward")),
    st.sampled_from((0, 0, SECOND_NS // 2, 2 * SECOND_NS)),
)


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer(appendonly=False) as started:
        yield started


@settings(deadline=None, max_examples=40)
@given(
    data=pushes,
    leaves=st.lists(st.tuples(range_aggregations(), steps), min_size=1, max_size=4),
    logs=st.lists(log_queries, min_size=1, max_size=4),
)
def test_both_give_the_same(
    redis: RedisServer, data: list[Push], leaves: list[tuple[RangeAggregation, Steps]], logs: list[LogQuery]
) -> None:
    asyncio.run(ask(redis.url, data, leaves, logs))


async def ask(
    url: str, data: Sequence[Push], leaves: Sequence[tuple[RangeAggregation, Steps]], logs: Sequence[LogQuery]
) -> None:
    client = connect(url)
    replica = Replica(client, Names(uuid.uuid4().hex), MemoryStore(), "replica")
    await replica.start()
    try:
        for push in data:
            segment = segment_of(push.entries)
            for _ in range(1 + push.is_repeated):
                await replica.ingester.push(TENANT, segment, segment.text_bytes())
            if push.is_flushed:
                await replica.flush()
        for leaf, times in leaves:
            moved = replace(times, first_ns=times.first_ns + BASE_NS, last_ns=times.last_ns + BASE_NS)
            by_rows = await vectors(MetricQueries(replica.scanner, columnar=False), leaf, moved)
            assert_same(by_rows, await vectors(MetricQueries(replica.scanner), leaf, moved))
        for query in logs:
            by_rows_ = await LogQueries(replica.scanner, columnar=False).run(TENANT, query)
            by_columns = await LogQueries(replica.scanner).run(TENANT, query)
            assert by_columns.rows == by_rows_.rows
    finally:
        await replica.end()
        await client.aclose()


async def vectors(queries: MetricQueries, expr: MetricExpr, times: Steps) -> list[Vector] | None:
    """None where the pipeline fails, in whatever group."""
    try:
        return (await queries.run(TENANT, expr, times)).vectors
    except PipelineFailed:
        return None
    except ExceptionGroup as group:
        if group.split(PipelineFailed)[1] is not None:
            raise
        return None


def segment_of(own: Sequence[Entry]) -> Segment:
    frame = pl.DataFrame(
        {
            STREAM: [entry.stream for entry in own],
            TIMESTAMP: [BASE_NS + entry.timestamp_ns for entry in own],
            LINE: [entry.line for entry in own],
            METADATA: format_metadata([entry.metadata for entry in own]),
        },
        schema=SEGMENT_SCHEMA,
    )
    return Segment(STREAMS, frame)
