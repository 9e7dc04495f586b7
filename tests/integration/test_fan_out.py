"""Metric queries of one replica on which another, in its own process, works: same answers, whatever happens to it."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis

from log_aggregator.wal.connection import connect
from servers import LogAggregator, RedisServer
from waiting import until, wait_for

MINUTES = 24  # each is an index period, so each flush makes a chunk of it
LINES = {"shop": 120, "odd": 1500, "broken": 20}  # in each minute
START = 1_768_471_200
CONFIG = """
redis: {{url: "{redis}", prefix: fan, lease_seconds: 2}}
common: {{storage: {{filesystem: {{chunks_directory: {chunks}}}}}}}
auth_enabled: true
schema_config: {{configs: [{{from: 2020-01-01, object_store: filesystem, index: {{period: 1m}}}}]}}
querier: {{fan_out_row_groups: {least}, multi_tenant_queries_enabled: true}}
limits_config:
  reject_old_samples: false
  ingestion_rate_mb: 1000
  ingestion_burst_size_mb: 1000
  per_stream_rate_limit: 1GB
  per_stream_rate_limit_burst: 1GB
"""
QUERIES = (
    'sum(count_over_time({app="shop"} |= "7" [5m]))',
    'sum by (pod) (rate({app="shop"}[7m] offset 1m))',
    'bytes_over_time({app="shop"} != "x"[5m])',
    'sum by (level) (count_over_time({app="shop"} | json [5m]))',
    'sum by (level, user) (count_over_time({app="shop"} | json | n > 10 [5m]))',
    'quantile_over_time(0.9, {app="shop"} | json | unwrap n [5m]) by (pod)',
    'max_over_time({app="shop"} | json | unwrap n [5m]) by (level)',
    'first_over_time({app="shop"} | json | unwrap n [5m]) by (pod)',
    'sum(rate_counter({app="shop"} | json | unwrap n [5m])) by (pod)',
    'absent_over_time({app="shop"} | json | level="none" [5m])',
    'sum(count_over_time({app="shop"}[5m])) / sum(count_over_time({app="shop"} |= "error" [5m]))',
    'topk(2, sum by (user) (count_over_time({app="shop"} | json [30m])))',
    'count by (level) (count_over_time({app="shop"} | json [5m]))',
    'avg by (level) (sum_over_time({app="shop"} | json | unwrap n [5m]))',
)
# Lines that are no JSON to which a shape applies, so that the row-wise stages read each: a second of work or so.
SLOW = 'sum by (level) (count_over_time({app="odd"} | json | n > 10 [5m]))'
FAILING = 'sum by (level) (count_over_time({app="broken"} | json [5m]))'


def lines(app: str) -> list[list[str]]:
    rows = []
    for number in range(LINES[app] * MINUTES):
        timestamp = START * 10**9 + number * 60_000_000_000 // LINES[app]
        level = ("info", "warn", "error")[number % 3]
        match app:
            case "shop":
                line = json.dumps({"level": level, "n": number * 7 % 101, "user": f"u{number % 17}"})
            case "odd":
                line = json.dumps(
                    {"level": level, "n": number * 7 % 101, f'"{number}': [{"a": "\\" * (number % 9)}] * 8}
                )
            case _:
                line = "{" if number == LINES[app] * MINUTES - 1 else json.dumps({"level": level, "n": number})
        rows.append([str(timestamp), line])
    return rows


@dataclass(frozen=True)
class Cluster:
    """`alone` never asks others, `choosy` only with some row groups. All have the same logs."""

    redis: RedisServer
    asker: LogAggregator
    choosy: LogAggregator
    worker: LogAggregator
    alone: LogAggregator


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    chunks: Path = tmp_path_factory.mktemp("chunks")

    def replica(target: str, least: int) -> LogAggregator:
        config = CONFIG.format(redis=redis.url, chunks=chunks, least=least)
        return LogAggregator(f"-target={target}", "-workers=1", config=config)

    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer())
        asker = stack.enter_context(replica("write,read", 1))
        worker = stack.enter_context(replica("read", 1))
        fill(asker)
        alone = stack.enter_context(replica("write,read", 1_000_000))
        choosy = stack.enter_context(replica("write,read", MINUTES // 2))
        # The others are `alone` and `choosy`, which work for others too.
        for one in (asker, choosy):
            wait_for(lambda one=one: "\nlog_aggregator_query_workers 3.0\n" in httpx.get(f"{one.url}/metrics").text)
        yield Cluster(redis, asker, choosy, worker, alone)


def fill(replica: LogAggregator) -> None:
    """Two flushes, the second of which repeats some of the first; a few repeat both in the write-ahead log."""
    with httpx.Client(base_url=replica.url, timeout=60) as client:
        for begin, step, flushes in ((0, 2, True), (1, 2, True), (5, 50, False)):
            for tenant, app in (*(("one", app) for app in LINES), ("two", "shop")):
                streams = [
                    {"stream": {"app": app, "pod": f"pod-{pod}"}, "values": values[begin::step] + values[pod::40]}
                    for pod in range(3)
                    if (values := lines(app)[pod::3])
                ]
                answer = client.post("/loki/api/v1/push", json={"streams": streams}, headers={"X-Scope-OrgID": tenant})
                assert answer.status_code == 204, answer.text
            if flushes:
                assert client.post("/flush", headers={"X-Scope-OrgID": "one"}).status_code == 204


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=60) as client:
        yield client


@pytest.fixture
async def redis(cluster: Cluster) -> AsyncIterator[Redis]:
    client = connect(cluster.redis.url)
    yield client
    await client.aclose()


async def ask(client: httpx.AsyncClient, replica: LogAggregator, query: str, tenant: str = "one") -> httpx.Response:
    params = {"query": query, "start": str(START), "end": str(START + MINUTES * 60), "step": "60"}
    headers = {"X-Scope-OrgID": tenant, "Cache-Control": "no-cache"}
    return await client.get(f"{replica.url}/loki/api/v1/query_range", params=params, headers=headers)


async def answer(client: httpx.AsyncClient, replica: LogAggregator, query: str, tenant: str = "one") -> Any:
    response = await ask(client, replica, query, tenant)
    assert response.status_code == 200, response.text
    return sorted(response.json()["data"]["result"], key=lambda series: sorted(series["metric"].items()))


async def count(client: httpx.AsyncClient, replica: LogAggregator, metric: str, label: str) -> float:
    text = (await client.get(f"{replica.url}/metrics")).text
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == metric and label in sample.labels.values():
                return sample.value
    raise AssertionError(metric)


async def worked(client: httpx.AsyncClient, cluster: Cluster, outcome: str = "answered") -> float:
    return await count(client, cluster.worker, "log_aggregator_query_shares_worked_total", outcome)


async def is_at_work(redis: Redis) -> bool:
    """Whether some share is in the hands of a worker."""
    for stream in await redis.keys("*:shares:*"):
        if (await redis.xpending(stream, "replicas"))["pending"]:
            return True
    return False


async def asked_until_at_work(client: httpx.AsyncClient, cluster: Cluster, redis: Redis) -> asyncio.Task[Any]:
    """The slow query, of which the worker has just begun a share.

    It is asked again while the asker answers it alone: a worker that Redis was away from takes a while to come back.
    """
    for left in await redis.keys("*:shares:*"):  # while Redis was away, nobody could clear its shares away
        await redis.delete(left)
    asking = asyncio.create_task(answer(client, cluster.asker, SLOW))

    async def begun() -> bool:
        nonlocal asking
        if asking.done():
            await asking
            asking = asyncio.create_task(answer(client, cluster.asker, SLOW))
        return await is_at_work(redis) and not asking.done()

    await until(begun)
    return asking


@pytest.mark.parametrize("query", QUERIES)
async def test_two_answer_as_one(client: httpx.AsyncClient, cluster: Cluster, query: str) -> None:
    expected = await answer(client, cluster.alone, query)
    assert expected
    assert await answer(client, cluster.asker, query) == expected


async def test_worker_has_a_part_in_it(client: httpx.AsyncClient, cluster: Cluster) -> None:
    expected, before = await answer(client, cluster.alone, SLOW), await worked(client, cluster)
    assert await answer(client, cluster.asker, SLOW) == expected
    assert await worked(client, cluster) > before


async def test_rows_that_are_only_counted_are_not_worth_the_detour(client: httpx.AsyncClient, cluster: Cluster) -> None:
    async def shared() -> float:
        text = (await client.get(f"{cluster.choosy.url}/metrics")).text
        families = text_string_to_metric_families(text)
        return sum(s.value for f in families for s in f.samples if s.name == "log_aggregator_query_shares_total")

    before = await shared()
    await answer(client, cluster.choosy, 'sum by (pod) (count_over_time({app="shop"}[5m]))')
    assert await shared() == before
    await answer(client, cluster.choosy, 'sum(count_over_time({app="shop"} |= "7" [5m]))')
    assert await shared() > before


async def test_statistics_count_what_workers_read(client: httpx.AsyncClient, cluster: Cluster) -> None:
    def summary(response: httpx.Response) -> int:
        return int(response.json()["data"]["stats"]["summary"]["totalLinesProcessed"])

    assert summary(await ask(client, cluster.asker, SLOW)) == summary(await ask(client, cluster.alone, SLOW))


async def test_several_tenants_at_once(client: httpx.AsyncClient, cluster: Cluster) -> None:
    query = 'sum by (__tenant_id__, level) (count_over_time({app="shop"} | json [5m]))'
    expected, before = await answer(client, cluster.alone, query, "one|two"), await worked(client, cluster)
    assert expected
    assert await answer(client, cluster.asker, query, "one|two") == expected
    assert await worked(client, cluster) > before


async def test_failure_of_a_pipeline_is_the_same(client: httpx.AsyncClient, cluster: Cluster) -> None:
    expected, found = await ask(client, cluster.alone, FAILING), await ask(client, cluster.asker, FAILING)
    assert (expected.status_code, found.status_code) == (400, 400)
    assert found.text == expected.text


async def test_killed_worker_is_replaced_by_the_asker(
    client: httpx.AsyncClient, cluster: Cluster, redis: Redis
) -> None:
    expected = await answer(client, cluster.alone, SLOW)
    asking = await asked_until_at_work(client, cluster, redis)
    cluster.worker.kill()
    try:
        assert await asking == expected
    finally:
        cluster.worker.restart()


async def test_paused_worker_is_replaced_and_changes_nothing_later(
    client: httpx.AsyncClient, cluster: Cluster, redis: Redis
) -> None:
    expected = await answer(client, cluster.alone, SLOW)
    asking = await asked_until_at_work(client, cluster, redis)
    cluster.worker.pause()
    try:
        assert await asking == expected
    finally:
        cluster.worker.resume()
    await until_worker_helps(client, cluster, expected)


async def until_worker_helps(client: httpx.AsyncClient, cluster: Cluster, expected: object) -> None:
    """As soon as it is known again; every answer is right until then."""
    before = await worked(client, cluster)

    async def helps() -> bool:
        assert await answer(client, cluster.asker, SLOW) == expected
        return await worked(client, cluster) > before

    await until(helps, 40)


async def test_query_survives_a_restart_of_redis(client: httpx.AsyncClient, cluster: Cluster, redis: Redis) -> None:
    expected = await answer(client, cluster.alone, SLOW)
    asking = await asked_until_at_work(client, cluster, redis)
    await asyncio.to_thread(cluster.redis.restart)
    assert await asking == expected
    await until_worker_helps(client, cluster, expected)


async def test_query_survives_a_redis_that_hangs(client: httpx.AsyncClient, cluster: Cluster, redis: Redis) -> None:
    expected = await answer(client, cluster.alone, SLOW)
    asking = await asked_until_at_work(client, cluster, redis)
    cluster.redis.pause()
    try:
        assert await asking == expected
    finally:
        cluster.redis.resume()


async def test_cancelled_query_stops_the_worker(client: httpx.AsyncClient, cluster: Cluster, redis: Redis) -> None:
    before = await worked(client, cluster, "unwanted")

    async def is_over() -> bool:
        return not await redis.keys("*:query:*") and not await is_at_work(redis)

    async def has_stopped() -> bool:
        """Not if the worker was done with its share before the cancellation came."""
        asking = await asked_until_at_work(client, cluster, redis)
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking
        await until(is_over, 5)
        return await worked(client, cluster, "unwanted") > before

    await until(has_stopped, 40)
    for stream in await redis.keys("*:shares:*"):
        assert await redis.xlen(stream) == 0
