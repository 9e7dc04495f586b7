"""What is stored is answered alike by columns and by rows: flushed or not, pushed once or again."""

import asyncio
import random
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import get_args

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from both_ways import STREAMS, Entry, assert_same
from hostile_entries import SECOND_NS, entries, log_expressions, range_aggregations, steps
from log_aggregator.engine.order import Direction
from log_aggregator.engine.pipeline import Row
from log_aggregator.engine.query_memory import TooManySeries
from log_aggregator.engine.samples import PipelineFailed
from log_aggregator.engine.steps import Steps
from log_aggregator.engine.vector import Vector
from log_aggregator.formats.metadata import format_metadata
from log_aggregator.logql.ast import LogExpr, MetricExpr, RangeAggregation
from log_aggregator.logql.parser import parse_expr
from log_aggregator.model.segment import LINE, METADATA, SEGMENT_SCHEMA, STREAM, TIMESTAMP, Segment
from log_aggregator.services import tail
from log_aggregator.services.log_query import LogQueries, LogQuery
from log_aggregator.services.metric_query import MetricQueries
from log_aggregator.services.statistics import ScanStatistics
from log_aggregator.services.units import Scan
from log_aggregator.storage.memory import MemoryStore
from log_aggregator.wal.connection import connect
from log_aggregator.wal.names import Names
from replica import HOUR_NS, Replica
from servers import RedisServer

TENANT = "tenant"
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
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
    st.sampled_from(DIRECTIONS),
    st.sampled_from((0, 0, SECOND_NS // 2, 2 * SECOND_NS)),
)


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer(appendonly=False) as started:
        yield started


@pytest.fixture(scope="module", autouse=True)
def _small_blocks() -> Iterator[None]:
    """So that there are blocks of records which no more will join: only these get columns of fields."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tail, "_BLOCK_RECORDS", 2)
        yield


@settings(max_examples=40)
@given(
    data=pushes,
    leaves=st.lists(st.tuples(range_aggregations(), steps), min_size=1, max_size=4),
    logs=st.lists(log_queries, min_size=1, max_size=4),
)
def test_both_give_the_same(
    redis: RedisServer, data: list[Push], leaves: list[tuple[RangeAggregation, Steps]], logs: list[LogQuery]
) -> None:
    asyncio.run(ask(redis.url, data, leaves, logs))


METRIC_QUERIES = (
    'sum by (level) (count_over_time({app=~".+"} | json | __error__="" [1m]))',
    'sum by (level, env) (rate({app="shop"} |= "info" | logfmt [1m]))',
    'sum by (app) (bytes_over_time({app=~".+"} |~ "(?i)WARN|[0-9]{3}" [150s]))',
    'count_over_time({app="shop"}[1m])',
    'sum by (trace) (count_over_time({app=~".+"} | trace != "" [2m]))',
    'sum by (app, level) (count_over_time({app=~".+"} | json | __error__="" | status >= 500 [1m]))',
    'sum by (level) (count_over_time({app=~".+"} | json | __error__="" | level =~ "warn|error" or ms > 900 [1m]))',
    'quantile_over_time(0.9, {app=~".+"} | json | __error__="" | unwrap ms [1m]) by (app)',
    'avg_over_time({app=~".+"} | logfmt | unwrap duration(took) | __error__="" [1m]) by (level)',
    'max_over_time({app=~".+"} | json | __error__="" | unwrap ms [45s] offset 30s) by (level, env)',
    'first_over_time({app="shop"} | json | __error__="" | unwrap status [1m]) by (level)',
    'last_over_time({app="shop"} | json | __error__="" | unwrap ms [7m]) by (app)',
    'rate_counter({app="shop"} | json | __error__="" | unwrap ms [1m])',
    'stddev_over_time({app=~".+"} | json | __error__="" | unwrap ms [1m]) by (env)',
    'absent_over_time({app=~".+"} | json | __error__="" | level="fatal" [1m])',
    'sum by (method) (count_over_time({app=~".+"} | pattern "<method> <_> took=<took>" [1m]))',
    r'sum by (method, user) (count_over_time({app=~".+"} | regexp `(?P<method>[A-Z]+) |"u(?P<user>\d+)` [1m]))',
    r'max_over_time({app=~".+"} | regexp `took=(?P<took>\d+)ms( status=(?P<code>\d+))?` | unwrap took [1m]) by (code)',
    'topk(2, sum by (user) (count_over_time({app=~".+"} | json | __error__="" [5m])))',
    'count by (level) (count_over_time({app=~".+"} | json | __error__="" [1m]))',
    'avg by (app) (avg_over_time({app=~".+"} | json | __error__="" | unwrap ms [1m]))',
    'max by (user) (quantile_over_time(0.5, {app=~".+"} | json | drop __error__ | unwrap ms [1m]))',
    'stddev without (took, trace) (rate({app=~".+"} | logfmt | status >= 404 [1m]))',
    'topk by (level) (3, sum_over_time({app=~".+"} | json | level!="info" | __error__="" | unwrap ms [5m]))',
    'avg(rate({app="shop"} | json | __error__="" [1m])) / count(rate({app="shop"} | json | __error__="" [1m]))',
)
GIVEN_UP = (
    'count_over_time({app=~".+"} | json | __error__="" [1m])',
    'sum by (user) (count_over_time({app=~".+"} | json | __error__="" [1m]))',
    'sum without (ms) (rate({app=~".+"} | json | __error__="" [1m]))',
    'max by (user) (max_over_time({app=~".+"} | json | __error__="" | unwrap ms [1m]))',
)
# By rows or by columns, these read all: several series join in one, or an error may be one of its own.
NOT_GIVEN_UP = (
    'topk(1, count_over_time({app=~".+"} | json | __error__="" [1m]))',
    'count by (app) (sum by (app, user) (count_over_time({app=~".+"} | json | __error__="" [1m])))',
    'sum by (app) (count_over_time({app=~".+"} | json | __error__!="" [1m]))',
    'max by (app) (count_over_time({app=~".+"} | json | __error__="" [1m]))',
)
FAILING = 'sum by (level) (count_over_time({app=~".+"} | json [1m]))'
LOG_STAGES = (
    "",
    '| json | level="error"',
    "| json | status >= 500 | ms > 500",
    '|= "warn" | logfmt | took > 900ms',
    r"| regexp `took=(?P<took>\w+)( status=(?P<code>\d+))?` | took > 700ms | code != ``",
    "| json",
)
ROWS = 4500


async def test_row_groups_give_what_their_rows_give(redis: RedisServer) -> None:
    client = connect(redis.url)
    replica = Replica(client, Names(uuid.uuid4().hex), MemoryStore(), "replica")
    await replica.start()
    own = list(usual_entries(random.Random(1)))
    third = ROWS // 3
    for part in (own[:third], own[third : 2 * third], own[2 * third :]):
        await push(replica, part)
        await push(replica, part[::7])
        if part[0] is not own[2 * third]:
            await replica.flush()
    await compare(replica)
    await replica.end()
    await client.aclose()


async def test_blocks_give_what_their_rows_give(redis: RedisServer) -> None:
    client = connect(redis.url)
    replica = Replica(client, Names(uuid.uuid4().hex), MemoryStore(), "replica")
    await replica.start()
    own = list(usual_entries(random.Random(2)))
    for begin in range(0, ROWS, ROWS // 5):
        await push(replica, own[begin : begin + ROWS // 5])
    await push(replica, own[::7])
    await compare(replica)
    scan = Scan(TENANT, 0, 100 * HOUR_NS, lambda labels: True)
    contents = [
        await replica.scanner.contents(unit, parses=True)
        for unit in await replica.scanner.units(scan, ScanStatistics())
    ]
    assert [one.shapes is not None for one in contents] == [True, True, False]  # more may join the last
    await replica.end()
    await client.aclose()


async def compare(replica: Replica) -> None:
    """Asks with columns after it has asked with rows, when blocks get fields."""
    times = Steps.aligned(BASE_NS, BASE_NS + 600 * SECOND_NS, 20 * SECOND_NS)
    for text in (*METRIC_QUERIES, FAILING):
        expr = parse_expr(text)
        assert not isinstance(expr, LogExpr)
        by_rows = await vectors(MetricQueries(replica.scanner, columnar=False), expr, times)
        assert (by_rows is None) == (text == FAILING), text
        assert_same(by_rows, await vectors(MetricQueries(replica.scanner), expr, times))
    for text, columnar in product((*GIVEN_UP, *NOT_GIVEN_UP), (True, False)):
        expr = parse_expr(text)
        assert not isinstance(expr, LogExpr)
        queries = MetricQueries(replica.scanner, columnar=columnar)
        found = {sample.labels for vector in (await queries.run(TENANT, expr, times)).vectors for sample in vector}
        await queries.run(TENANT, expr, times, most_series=len(found))
        if text in GIVEN_UP:
            with pytest.raises((TooManySeries, ExceptionGroup), check=is_of_series):
                await queries.run(TENANT, expr, times, most_series=len(found) - 1)
    for stages, direction, limit in product(LOG_STAGES, DIRECTIONS, (1, 100, 1000)):
        expr = parse_expr(f'{{app=~".+"}} {stages}')
        assert isinstance(expr, LogExpr)
        query = LogQuery(expr, BASE_NS, BASE_NS + 500 * SECOND_NS, limit, direction)
        assert await rows(LogQueries(replica.scanner), query) == await rows(
            LogQueries(replica.scanner, columnar=False), query
        )


def is_of_series(error: Exception) -> bool:
    return isinstance(error, TooManySeries) or (
        isinstance(error, ExceptionGroup) and error.split(TooManySeries)[1] is None
    )


def usual_entries(chance: random.Random) -> Iterator[Entry]:
    """The lines of a few programs, and now and then something else. Several at a time."""
    for number in range(ROWS):
        level = chance.choice(("info", "info", "info", "warn", "error"))
        status, took = chance.choice((200, 200, 404, 500)), chance.randrange(1000)
        line = chance.choice(
            (
                f'{{"level":"{level}","status":{status},"ms":{took},"user":"u{chance.randrange(500)}"}}',
                f'{{"level":"{level}","status":{status},"ms":{took}.5,"tags":["a"],"nested":{{"level":"x"}}}}',
                f"level={level} took={took}ms status={status}",
                f"GET /{chance.randrange(9)} took={took}ms",
            )
        )
        if chance.random() < 0.01:
            line = line[: chance.randrange(len(line))]
        trace = {"trace": f"t{chance.randrange(5)}"} if chance.random() < 0.3 else {}
        yield Entry(chance.randrange(len(STREAMS)), number // 4 * 4 * 600 * SECOND_NS // ROWS, line, trace)


async def ask(
    url: str, data: Sequence[Push], leaves: Sequence[tuple[RangeAggregation, Steps]], logs: Sequence[LogQuery]
) -> None:
    client = connect(url)
    replica = Replica(client, Names(uuid.uuid4().hex), MemoryStore(), "replica")
    await replica.start()
    try:
        for one in data:
            for _ in range(1 + one.is_repeated):
                await push(replica, one.entries)
            if one.is_flushed:
                await replica.flush()
        for leaf, times in leaves:
            moved = replace(times, first_ns=times.first_ns + BASE_NS, last_ns=times.last_ns + BASE_NS)
            by_rows = await vectors(MetricQueries(replica.scanner, columnar=False), leaf, moved)
            assert_same(by_rows, await vectors(MetricQueries(replica.scanner), leaf, moved))
        for query in logs:
            by_rows = await rows(LogQueries(replica.scanner, columnar=False), query)
            assert await rows(LogQueries(replica.scanner), query) == by_rows
    finally:
        await replica.end()
        await client.aclose()


async def push(replica: Replica, own: Sequence[Entry]) -> None:
    segment = segment_of(own)
    await replica.ingester.push(TENANT, segment, segment.text_bytes())


async def rows(queries: LogQueries, query: LogQuery) -> list[Row]:
    return (await queries.run(TENANT, query)).rows


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
