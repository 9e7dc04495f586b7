"""One real replica while Redis or the object store is down, hangs, is full or refuses: it says so, and recovers."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml

from servers import LogAggregator, MotoServer, RedisServer
from waiting import wait_for

COME_AGAIN = {429, 503}
DEADLINE_SECONDS = 30.0
MEBIBYTE = 1 << 20


@dataclass
class Installation:
    redis: RedisServer
    s3: MotoServer
    replica: LogAggregator

    def push(self, line: str) -> httpx.Response:
        streams = [{"stream": {"app": "test"}, "values": [[str(time.time_ns()), line]]}]
        return httpx.post(f"{self.replica.url}/loki/api/v1/push", json={"streams": streams}, timeout=DEADLINE_SECONDS)

    def acknowledged(self, line: str) -> bool:
        answer = self.push(line)
        assert answer.is_success or answer.status_code in COME_AGAIN, answer.text
        assert answer.is_success or answer.headers["Retry-After"]
        return answer.is_success

    def lines(self) -> list[str]:
        params = {"query": '{app="test"}', "limit": "5000", "direction": "forward"}
        answer = httpx.get(f"{self.replica.url}/loki/api/v1/query_range", params=params, timeout=DEADLINE_SECONDS)
        answer.raise_for_status()
        return [value[1][:20] for stream in answer.json()["data"]["result"] for value in stream["values"]]

    def finds(self, *lines: str) -> bool:
        try:
            return self.lines() == list(lines)
        except httpx.HTTPStatusError as error:
            if error.response.status_code == 503:  # a connection of before the outage
                return False
            raise

    def metric(self, name: str) -> float:
        lines = httpx.get(f"{self.replica.url}/metrics", timeout=DEADLINE_SECONDS).text.splitlines()
        return next(float(line.removeprefix(f"{name} ")) for line in lines if line.startswith(f"{name} "))

    def flush(self) -> int:
        return httpx.post(f"{self.replica.url}/flush", timeout=DEADLINE_SECONDS).status_code


def create_bucket(s3: MotoServer) -> None:
    httpx.put(f"{s3.url}/bucket").raise_for_status()


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    with RedisServer(appendfsync="always") as redis, MotoServer() as s3:
        aws = {
            **s3.settings("bucket"),
            "http_config": {"timeout": "1s"},
            "backoff_config": {"max_period": "100ms", "max_retries": 2},
        }
        settings = {
            "redis": {"url": redis.url, "lease_seconds": 2.0},
            "storage_config": {"aws": aws},
            "ingester": {"max_buffer_bytes": 4 * MEBIBYTE},
            "limits_config": {"ingestion_rate_mb": 1000, "ingestion_burst_size_mb": 1000, "max_line_size": 0},
        }
        create_bucket(s3)
        config = yaml.safe_dump(settings)
        with LogAggregator("-workers=1", config=config, directory=tmp_path) as replica:
            yield Installation(redis, s3, replica)


def test_redis_that_dies_and_comes_back(installation: Installation) -> None:
    assert installation.acknowledged("before")
    installation.redis.kill()
    assert not installation.acknowledged("during")
    installation.redis.restart()
    wait_for(lambda: installation.acknowledged("after"), DEADLINE_SECONDS)
    assert [line for line in installation.lines() if line != "during"] == ["before", "after"]


def test_redis_that_comes_back_empty(installation: Installation) -> None:
    assert installation.acknowledged("before")
    installation.redis.kill()
    for path in (installation.redis.directory / "appendonlydir").iterdir():
        path.unlink()
    installation.redis.restart()
    wait_for(lambda: installation.finds("before"), DEADLINE_SECONDS)  # without any push: by the next renewal
    wait_for(lambda: installation.acknowledged("after"), DEADLINE_SECONDS)
    assert installation.lines() == ["before", "after"]


def test_redis_that_is_full_drains_by_a_flush(installation: Installation) -> None:
    assert installation.acknowledged("before")
    installation.redis.tell("CONFIG SET maxmemory 1")
    assert not installation.acknowledged("during")
    assert installation.lines() == ["before"]
    assert installation.flush() < 300
    installation.redis.tell("CONFIG SET maxmemory 0")
    assert installation.acknowledged("after")
    assert installation.lines() == ["before", "after"]


def test_pushes_that_a_full_redis_refuses_are_counted(installation: Installation) -> None:
    installation.redis.tell("CONFIG SET maxmemory 1")
    assert not installation.acknowledged("no bytes of the quota are this process's own yet: they are counted in Redis")
    assert installation.metric("loki_ingester_wal_disk_full_failures_total") == 1
    installation.redis.tell("CONFIG SET maxmemory 0")
    assert installation.acknowledged("some are now")
    installation.redis.tell("CONFIG SET maxmemory 1")
    assert not installation.acknowledged("so that the append is what is refused")
    assert installation.metric("loki_ingester_wal_disk_full_failures_total") == 2


def test_store_that_hangs_and_comes_back(installation: Installation) -> None:
    """Pushes go on until the buffer is full, and again once it is flushed."""
    pushed = []
    installation.s3.pause()
    try:
        while installation.acknowledged(f"{len(pushed):020}" + "x" * (MEBIBYTE // 4)):
            pushed.append(f"{len(pushed):020}")
            assert len(pushed) < 20
        assert len(pushed) > 8
    finally:
        installation.s3.resume()
    wait_for(lambda: installation.acknowledged("after"), DEADLINE_SECONDS)
    assert installation.flush() < 300
    assert installation.lines() == [*pushed, "after"]


def test_store_without_its_bucket_is_waited_for(installation: Installation) -> None:
    # With all that is in it: the server may have put something there to see what the store can do.
    httpx.post(f"{installation.s3.url}/moto-api/reset").raise_for_status()
    assert installation.acknowledged("during")
    create_bucket(installation.s3)
    assert installation.flush() < 300
    assert installation.acknowledged("after")
    assert installation.lines() == ["during", "after"]
