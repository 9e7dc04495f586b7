"""Masters of Redis that die while a replica of ours takes pushes: under sentinels, in a cluster, alone.

Each test stands for a row of the table in docs/durability.md.
"""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import yaml
from redis.crc import key_slot

from replicated_redis import Clustered, Watched, clustered, watched
from servers import LogAggregator
from waiting import wait_for

DEADLINE_SECONDS = 30.0
PREFIX = "log-aggregator"


@dataclass
class Load:
    """One client that pushes line after line, each until it is acknowledged, and notes how that went."""

    url: str
    acknowledged: list[str] = field(default_factory=list)
    statuses: set[int] = field(default_factory=set)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Load":
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        wait_for(lambda: len(self.acknowledged) >= 5)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def goes_on(self) -> None:
        """Waits for pushes that are acknowledged from now on."""
        count = len(self.acknowledged)
        wait_for(lambda: len(self.acknowledged) >= count + 5, DEADLINE_SECONDS)

    def _run(self) -> None:
        with httpx.Client(base_url=self.url, timeout=DEADLINE_SECONDS) as client:
            number = 0
            while not self._stopping.is_set():
                line = f"line {number}"
                values = [[str(time.time_ns()), line]]
                while not self._stopping.is_set():
                    body = {"streams": [{"stream": {"app": "a"}, "values": values}]}
                    try:
                        answer = client.post("/loki/api/v1/push", json=body)
                    except httpx.TransportError:  # our own replica was killed
                        break
                    self.statuses.add(answer.status_code)
                    if answer.status_code == 204:
                        self.acknowledged.append(line)
                        break
                number += 1


def replica(tmp_path: Path, url: str, **redis: object) -> LogAggregator:
    directory = tmp_path / "replica"
    directory.mkdir(exist_ok=True)
    store = {"filesystem": {"chunks_directory": str(tmp_path / "chunks")}}
    settings = {
        "redis": {"url": url, "prefix": PREFIX, "lease_seconds": 2.0, **redis},
        "common": {"storage": store},
        "limits_config": {"max_entries_limit_per_query": 0},
    }
    return LogAggregator("-workers=1", config=yaml.safe_dump(settings), directory=directory)


def lines(server: LogAggregator) -> list[str]:
    params = {"query": '{app="a"}', "limit": "1000000", "direction": "forward"}
    answer = httpx.get(f"{server.url}/loki/api/v1/query_range", params=params, timeout=DEADLINE_SECONDS)
    answer.raise_for_status()
    return [value[1] for stream in answer.json()["data"]["result"] for value in stream["values"]]


def push(server: LogAggregator, line: str) -> httpx.Response:
    streams = [{"stream": {"app": "a"}, "values": [[str(time.time_ns()), line]]}]
    return httpx.post(f"{server.url}/loki/api/v1/push", json={"streams": streams}, timeout=DEADLINE_SECONDS)


def cut_off(redis: Watched) -> None:
    """From now on the replicas get nothing from their master, until a sentinel finds out."""
    for node in redis.nodes[1:]:
        node.ask("REPLICAOF", "127.0.0.1", "1")


def found_once(server: LogAggregator, acknowledged: list[str]) -> None:
    found = lines(server)
    assert not set(acknowledged) - set(found), "lost"
    assert len(found) == len(set(found)), "twice"


@pytest.fixture
def sentinels() -> Iterator[Watched]:
    with watched() as redis:
        yield redis


@pytest.fixture(scope="module")
def cluster() -> Iterator[Clustered]:
    with clustered() as redis:
        yield redis


def test_master_that_dies_under_load_with_sentinels(sentinels: Watched, tmp_path: Path) -> None:
    """Pushes are answered 503 until there is a new master, and go on by themselves."""
    with replica(tmp_path, sentinels.url, wait_replicas=1) as server, Load(server.url) as load:
        sentinels.nodes[0].kill()
        load.goes_on()
        found_once(server, list(load.acknowledged))
        assert httpx.post(f"{server.url}/flush", timeout=DEADLINE_SECONDS).status_code == 204
        load.goes_on()
        found_once(server, list(load.acknowledged))
    assert load.statuses <= {204, 503}


def test_master_and_replica_of_ours_that_die_together(sentinels: Watched, tmp_path: Path) -> None:
    """With `wait_replicas`, what was acknowledged is in the new master, though nobody remembers it."""
    server = replica(tmp_path, sentinels.url, wait_replicas=1)
    with server, Load(server.url) as load:
        sentinels.nodes[0].kill()
        server.kill()
    acknowledged = list(load.acknowledged)
    with replica(tmp_path, sentinels.url, wait_replicas=1) as successor:
        found_once(successor, acknowledged)


def test_master_that_dies_before_its_replicas_have_all(sentinels: Watched, tmp_path: Path) -> None:
    """Without `wait_replicas` too, what the new master lacks comes back from the memory of whoever took it."""
    with replica(tmp_path, sentinels.url) as server:
        with Load(server.url) as load:
            cut_off(sentinels)
            load.goes_on()
            sentinels.nodes[0].kill()
            load.goes_on()
        wait_for(lambda: set(load.acknowledged) <= set(lines(server)))
        found_once(server, load.acknowledged)


def test_both_die_before_the_replicas_of_redis_have_all(sentinels: Watched, tmp_path: Path) -> None:
    """Without `wait_replicas`, this is the loss that is left: what no replica of Redis had."""
    with replica(tmp_path, sentinels.url) as server:
        with Load(server.url) as load:
            pass
        wait_for(lambda: len({node.offset for node in sentinels.nodes}) == 1)
        cut_off(sentinels)
        push(server, "late").raise_for_status()
        sentinels.nodes[0].kill()
        server.kill()
    with replica(tmp_path, sentinels.url) as successor:
        found = lines(successor)
    assert set(found) >= set(load.acknowledged)
    assert "late" not in found


def test_append_that_too_few_replicas_have_is_not_acknowledged(sentinels: Watched, tmp_path: Path) -> None:
    with replica(tmp_path, sentinels.url, wait_replicas=2, wait_timeout="200ms") as server:
        push(server, "before").raise_for_status()
        sentinels.nodes[2].pause()
        try:
            refused = push(server, "during")
        finally:
            sentinels.nodes[2].resume()
        assert refused.status_code == 503
        assert refused.headers["Retry-After"]
        wait_for(lambda: push(server, "after").status_code == 204)
        assert {"before", "after"} <= set(lines(server))


def test_master_that_hangs_and_wakes_up_again(sentinels: Watched, tmp_path: Path) -> None:
    """It believes itself the master until a sentinel tells it otherwise; what it then takes must not count."""
    with replica(tmp_path, sentinels.url, wait_replicas=1) as server, Load(server.url) as load:
        sentinels.nodes[0].pause()
        try:
            load.goes_on()
        finally:
            sentinels.nodes[0].resume()
        wait_for(lambda: not sentinels.nodes[0].is_master())
        load.goes_on()
        found_once(server, list(load.acknowledged))
    assert load.statuses <= {204, 503}


def test_master_that_dies_under_load_in_a_cluster(cluster: Clustered, tmp_path: Path) -> None:
    slot = key_slot(b"{" + PREFIX.encode() + b"}")
    with replica(tmp_path, cluster.url) as server, Load(server.url) as load:
        cluster.master_of(slot).kill()
        load.goes_on()
        found_once(server, list(load.acknowledged))
        assert httpx.post(f"{server.url}/flush", timeout=DEADLINE_SECONDS).status_code == 204
        load.goes_on()
        found_once(server, list(load.acknowledged))
    assert load.statuses <= {204, 503}
