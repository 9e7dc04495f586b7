"""Replicas on a real Redis and a real S3 server, one of which is killed or paused again and again.

Two have a store that works, three one that fails at every tenth request and now and then for a while.

CHAOS_SEEDS=100 runs that many seeds; CHAOS_SEED=42 runs one again.
"""

import asyncio
import gzip
import json
import os
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from random import Random

import cramjam
import httpx
import pytest
import yaml
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from buckets import ensure_bucket
from faulty_proxy import FaultyProxy, ProxyFaults
from log_aggregator.formats import push_pb2
from log_aggregator.storage.s3_settings import S3Settings
from log_aggregator.wal.connection import connect
from log_aggregator.wal.log import WriteAheadLogs
from log_aggregator.wal.names import Names
from servers import LogAggregator, MotoServer, RedisServer, S3Server, SeaweedServer
from waiting import until

SEEDS = (
    [int(os.environ["CHAOS_SEED"])] if "CHAOS_SEED" in os.environ else range(int(os.environ.get("CHAOS_SEEDS", "2")))
)
ROUNDS = 3
PUSHERS = 4
ACKNOWLEDGED_PER_ROUND = 60
LEASE_SECONDS = 1.0
HOUR_NS = 3600 * 1_000_000_000
PREFIX = "chaos"
# What a client may be told when a replica cannot take a push: come again.
COME_AGAIN = {429, 503}

Body = tuple[str, bytes, dict[str, str]]


def json_body(timestamp_ns: int, line: str) -> Body:
    streams = [{"stream": {"service_name": "chaos", "level": "info"}, "values": [[str(timestamp_ns), line]]}]
    return "/loki/api/v1/push", json.dumps({"streams": streams}).encode(), {"Content-Type": "application/json"}


def gzip_body(timestamp_ns: int, line: str) -> Body:
    path, body, headers = json_body(timestamp_ns, line)
    return path, gzip.compress(body), {**headers, "Content-Encoding": "gzip"}


def protobuf_body(timestamp_ns: int, line: str) -> Body:
    push = push_pb2.PushRequest()
    entry = push.streams.add(labels='{service_name="chaos", level="warn"}').entries.add(line=line)
    entry.timestamp.seconds, entry.timestamp.nanos = divmod(timestamp_ns, 1_000_000_000)
    compressed = bytes(cramjam.snappy.compress_raw(push.SerializeToString()))
    return "/loki/api/v1/push", compressed, {"Content-Type": "application/x-protobuf"}


def otlp_body(timestamp_ns: int, line: str) -> Body:
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "chaos"
    record = resource.scope_logs.add().log_records.add(time_unix_nano=timestamp_ns)
    record.body.string_value = line
    return "/otlp/v1/logs", request.SerializeToString(), {"Content-Type": "application/x-protobuf"}


ENCODINGS: tuple[Callable[[int, str], Body], ...] = (json_body, gzip_body, protobuf_body, otlp_body)


def configuration(redis: RedisServer, s3: S3Server | FaultyProxy, directory: Path) -> Path:
    path = directory / "chaos.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "redis": {"url": redis.url, "prefix": PREFIX, "lease_seconds": LEASE_SECONDS},
                "storage_config": {"aws": s3.settings("chaos")},
                "schema_config": {"configs": [{"from": "2020-01-01", "object_store": "s3", "index": {"period": "1h"}}]},
                "ingester": {"max_chunk_age": "3s"},
                "limits_config": {"max_entries_limit_per_query": 1_000_000},
            }
        )
    )
    return path


class Cluster:
    """Replicas, those who push to them, and what they acknowledged. Their store may be behind a proxy."""

    def __init__(
        self,
        replicas: list[LogAggregator],
        logs: WriteAheadLogs,
        client: httpx.AsyncClient,
        seed: int,
        proxy: FaultyProxy | None,
    ) -> None:
        self.replicas = replicas
        self._proxy = proxy
        self.healthy = set(replicas)
        self.acknowledged: set[str] = set()
        self.tried: set[str] = set()
        self.checks = 0
        self._logs = logs
        self._client = client
        self._random = Random(seed)
        self._begun_ns = time.time_ns()

    async def push_for_ever(self, name: int) -> None:
        """Like an agent: repeats a push until somebody acknowledges it, and then goes on to the next."""
        number = 0
        while True:
            line, number = f"pusher {name} line {number}", number + 1
            timestamp_ns = self._begun_ns - self._random.randrange(3 * HOUR_NS)
            path, body, headers = self._random.choice(ENCODINGS)(timestamp_ns, line)
            self.tried.add(line)
            while line not in self.acknowledged:
                # A load balancer notices after a while which one does not answer.
                notices = self._random.random() < 0.7
                replica = self._random.choice(by_port(self.healthy) if notices else self.replicas)
                try:
                    answer = await self._client.post(replica.url + path, content=body, headers=headers, timeout=1)
                except httpx.TransportError:
                    continue
                if answer.is_success:
                    self.acknowledged.add(line)
                else:
                    assert answer.status_code in COME_AGAIN, answer.text
                    assert "Retry-After" in answer.headers

    async def check_for_ever(self) -> None:
        while True:
            await self.check(self._random.choice(by_port(self.healthy)))

    async def check(self, replica: LogAggregator) -> None:
        """What was acknowledged is there once. A replica that is hurt meanwhile need not answer."""
        expected = set(self.acknowledged)
        params = {
            "query": '{service_name="chaos"}',
            "start": str(self._begun_ns - 4 * HOUR_NS),
            "end": str(self._begun_ns + HOUR_NS),
            "limit": "1000000",
            "direction": "forward",
        }
        try:
            answer = await self._client.get(f"{replica.url}/loki/api/v1/query_range", params=params, timeout=30)
        except httpx.TransportError:
            assert replica not in self.healthy
            return
        if self._proxy is not None and answer.status_code in COME_AGAIN:
            return
        assert answer.status_code == 200, answer.text
        streams = answer.json()["data"]["result"]
        found = Counter(value[1] for stream in streams for value in stream["values"])
        assert expected - set(found) == set()
        assert set(found) - self.tried == set()
        assert [line for line, count in found.items() if count > 1] == []
        self.checks += 1

    async def flush_for_ever(self) -> None:
        while True:
            replica = self._random.choice(by_port(self.healthy))
            try:
                await self._client.post(f"{replica.url}/flush", timeout=30)
            except httpx.TransportError:
                assert replica not in self.healthy

    async def hurt(self) -> None:
        """Kills or pauses one replica until another has taken over its log, and lets it come back."""
        victim = self._random.choice(self.replicas)
        holder = f"{socket.gethostname()}:{victim.pid}"
        await self._more(self._random.randrange(ACKNOWLEDGED_PER_ROUND))
        self.healthy.discard(victim)
        killed = self._random.random() < 0.5
        if killed:
            victim.kill()
        else:
            victim.pause()
        if self._proxy is not None:
            self._proxy.is_down = self._random.random() < 0.5
        owned = [wal for wal, name in (await self._logs.holders()).items() if name == holder]
        await self._more(self._random.randrange(ACKNOWLEDGED_PER_ROUND))
        if self._proxy is not None:
            self._proxy.is_down = False

        async def taken_over() -> bool:
            holders = await self._logs.holders()
            return not any(wal in holders for wal in owned)

        if self._random.random() < 0.7:
            await until(taken_over, deadline_seconds=60)
        if killed:
            await asyncio.to_thread(victim.restart)
        else:
            victim.resume()
        self.healthy.add(victim)
        await self._more(ACKNOWLEDGED_PER_ROUND)

    async def _more(self, count: int) -> None:
        enough = len(self.acknowledged) + count

        async def reached() -> bool:
            return len(self.acknowledged) >= enough

        await until(reached, deadline_seconds=60)


def by_port(replicas: set[LogAggregator]) -> list[LogAggregator]:
    return sorted(replicas, key=lambda replica: replica.port)


@asynccontextmanager
async def cluster_on(
    redis: RedisServer, s3: S3Server, directory: Path, seed: int, proxy: FaultyProxy | None = None
) -> AsyncIterator[Cluster]:
    await ensure_bucket(S3Settings.model_validate(s3.settings("chaos")))
    config = configuration(redis, proxy or s3, directory)
    client = connect(redis.url)
    async with httpx.AsyncClient() as http, AsyncExitStack() as stack:
        # In a thread: they look at their store before they are ready, and the proxy is on this loop.
        manager = replicas_with(config, directory, 2 if proxy is None else 3)
        replicas = await asyncio.to_thread(manager.__enter__)
        stack.push_async_callback(asyncio.to_thread, manager.__exit__, None, None, None)
        yield Cluster(replicas, WriteAheadLogs(client, Names(PREFIX)), http, seed, proxy)
    await client.aclose()


@contextmanager
def replicas_with(config: Path, directory: Path, count: int) -> Iterator[list[LogAggregator]]:
    """Their logs stay in the directory."""
    with ExitStack() as stack:
        replicas = []
        for name in map(str, range(count)):
            home = directory / name
            home.mkdir()
            replicas.append(LogAggregator(f"-config.file={config}", "-workers=1", directory=home))
            stack.enter_context(replicas[-1])
        yield replicas


async def everything_at_once(cluster: Cluster) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(cluster.push_for_ever(name)) for name in range(PUSHERS)]
        tasks += [group.create_task(cluster.check_for_ever()), group.create_task(cluster.flush_for_ever())]
        for _ in range(ROUNDS):
            await cluster.hurt()
        for task in tasks:
            task.cancel()


@pytest.mark.parametrize(
    ("kind", "seed"), [*((MotoServer, seed) for seed in SEEDS), *((SeaweedServer, seed) for seed in list(SEEDS)[:1])]
)
async def test_what_was_acknowledged_is_there_once(kind: type[S3Server], seed: int, tmp_path: Path) -> None:
    with RedisServer(appendfsync="always") as redis, kind() as s3:
        async with cluster_on(redis, s3, tmp_path, seed) as cluster:
            await everything_at_once(cluster)
            assert cluster.checks > ROUNDS
            for replica in cluster.replicas:
                await cluster.check(replica)


@pytest.mark.parametrize("seed", SEEDS)
async def test_what_was_acknowledged_is_there_once_whatever_the_store_does(seed: int, tmp_path: Path) -> None:
    with RedisServer(appendfsync="always") as redis, MotoServer() as s3:
        async with (
            FaultyProxy(s3, ProxyFaults(), seed) as proxy,
            cluster_on(redis, s3, tmp_path, seed, proxy) as cluster,
        ):
            await everything_at_once(cluster)
            assert proxy.faults_met > ROUNDS

            async def checked(replica: LogAggregator) -> bool:
                before = cluster.checks
                await cluster.check(replica)
                return cluster.checks > before

            for replica in cluster.replicas:
                await until(partial(checked, replica), deadline_seconds=60)
