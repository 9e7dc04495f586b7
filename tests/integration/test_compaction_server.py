"""The running server compacts by itself, and answers the same before and after."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from servers import LogAggregator
from waiting import until

SECOND_NS = 1_000_000_000
# A day whose index period was over long ago.
START = (int(time.time()) // 86_400 - 3) * 86_400 + 36_000
CONFIG = """
compactor:
  compaction_interval: 1s
  retention_delete_delay: 1s
limits_config:
  reject_old_samples: false
"""


@pytest.fixture(scope="module")
def server() -> Iterator[LogAggregator]:
    with LogAggregator(config=CONFIG) as started:
        yield started


@pytest.fixture(scope="module")
def client(server: LogAggregator) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as opened:
        yield opened


def push(client: httpx.Client, minute: int) -> None:
    values = [[str((START + minute * 60 + n) * SECOND_NS), f'level=info n={n} msg="line {minute}"'] for n in range(50)]
    body = {"streams": [{"stream": {"app": f"app-{minute % 2}"}, "values": values}]}
    assert client.post("/loki/api/v1/push", json=body).status_code == 204
    assert client.post("/flush").status_code == 204


def answers(client: httpx.Client) -> list[Any]:
    span = {"start": str(START), "end": str(START + 3600)}
    count = {"query": 'sum by (n) (count_over_time({app=~".+"} | logfmt [10m]))', "step": "600", **span}
    found = [
        client.get("/loki/api/v1/query_range", params={"query": '{app=~".+"}', "limit": "5000", **span}),
        client.get("/loki/api/v1/query_range", params=count),
        client.get("/loki/api/v1/series", params=span),
    ]
    bodies = [answer.json() for answer in found]
    for body in bodies[:2]:
        del body["data"]["stats"]
    return bodies


def metrics_of(client: httpx.Client) -> str:
    return client.get("/metrics").text


async def test_the_server_compacts_a_period_that_is_over(server: LogAggregator, client: httpx.Client) -> None:
    for minute in range(3):
        push(client, minute)
    before = answers(client)
    assert len(before[0]["data"]["result"]) > 0

    async def compacted() -> bool:
        return len(list((server.directory / "data").rglob("compacted.*.parquet"))) >= 1

    await until(compacted)
    assert answers(client) == before
    assert "loki_boltdb_shipper_compactor_running 1.0" in metrics_of(client)


def test_a_store_is_verified_and_its_index_rebuilt_beside_the_server(server: LogAggregator) -> None:
    data = server.directory / "data"
    verified = command("verify", data)
    assert verified.returncode == 0
    assert verified.stdout.splitlines()[-1].endswith(": whole")
    for index in data.rglob("*.idx"):
        index.write_bytes(b"damaged")
    damaged = command("verify", data)
    assert damaged.returncode == 1
    assert damaged.stdout.splitlines()[-1].endswith(": damaged")
    assert command("rebuild-index", data).returncode == 0
    (line,) = [line for line in command("verify", data).stdout.splitlines() if "entries" in line]
    assert "150 entries" in line


def command(name: str, data: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "log-aggregator"
    return subprocess.run(
        [program, name, f"-common.path-prefix={data}"], capture_output=True, text=True, timeout=60, check=False
    )
