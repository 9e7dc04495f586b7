"""A flood while the object store hangs: what waits stays bounded, other tenants go on, and it passes by itself."""

import time
from collections.abc import Iterator

import httpx
import pytest
import yaml

from servers import LogAggregator, MotoServer, RedisServer
from waiting import wait_for

MEBIBYTE = 1 << 20
BUFFER_BYTES = 8 * MEBIBYTE
LINE = "x" * 10_000
LINES_AT_ONCE = 20


@pytest.fixture
def store() -> Iterator[MotoServer]:
    with MotoServer() as s3:
        httpx.put(f"{s3.url}/bucket").raise_for_status()
        yield s3


@pytest.fixture
def client(store: MotoServer) -> Iterator[httpx.Client]:
    aws = {
        **store.settings("bucket"),
        "http_config": {"timeout": "1s"},
        "backoff_config": {"max_period": "100ms", "max_retries": 2},
    }
    with RedisServer() as redis:
        settings = {
            "auth_enabled": True,
            "redis": {"url": redis.url},
            "storage_config": {"aws": aws},
            "ingester": {"max_buffer_bytes": BUFFER_BYTES},
            "limits_config": {
                "ingestion_rate_mb": 1000,
                "ingestion_burst_size_mb": 1000,
                "per_stream_rate_limit": "1GB",
            },
        }
        with (
            LogAggregator("-workers=1", config=yaml.safe_dump(settings)) as server,
            httpx.Client(base_url=server.url, timeout=30) as client,
        ):
            yield client


def push(client: httpx.Client, tenant: str, lines: int) -> httpx.Response:
    values = [[str(time.time_ns()), f"{number} {LINE}"] for number in range(lines)]
    body = {"streams": [{"stream": {"job": tenant}, "values": values}]}
    return client.post("/loki/api/v1/push", json=body, headers={"X-Scope-OrgID": tenant})


def count(client: httpx.Client, tenant: str) -> int:
    parameters = {"query": f'sum(count_over_time({{job="{tenant}"}}[1h]))'}
    answer = client.get("/loki/api/v1/query", params=parameters, headers={"X-Scope-OrgID": tenant})
    assert answer.status_code == 200, answer.text
    return int(answer.json()["data"]["result"][0]["value"][1])


def test_flood_while_the_store_hangs_leaves_others_their_part(store: MotoServer, client: httpx.Client) -> None:
    # So that nobody has to ask the store what it has.
    assert push(client, "quiet", 1).status_code == push(client, "flood", 1).status_code == 204
    assert (count(client, "quiet"), count(client, "flood")) == (1, 1)
    store.pause()
    try:
        accepted = 0
        while (answer := push(client, "flood", LINES_AT_ONCE)).status_code == 204:
            accepted += LINES_AT_ONCE
            assert accepted * len(LINE) < BUFFER_BYTES
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "1"
        assert "would leave other tenants too little of ingester.max_buffer_bytes (8388608)" in answer.text
        assert accepted * len(LINE) > BUFFER_BYTES // 2
        for number in range(10):
            assert push(client, "quiet", 1).status_code == 204
            assert count(client, "quiet") == number + 2
        # A second flood gets some of it, too.
        assert push(client, "second", LINES_AT_ONCE).status_code == 204
    finally:
        store.resume()
    wait_for(lambda: push(client, "flood", LINES_AT_ONCE).status_code == 204)
    assert count(client, "flood") == accepted + 1 + LINES_AT_ONCE
    assert count(client, "quiet") == 11
