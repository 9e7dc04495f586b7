"""More than a server can take: memory stays bounded, refusals say what to do, other tenants are served, and it passes.

The server may use 512 MB, from which its bounds follow (docs/limits.md). bench/overload.py does the same at length.
"""

import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx
import pytest

from servers import LogAggregator
from waiting import wait_for

MEBIBYTE = 1 << 20
USABLE_BYTES = 512 * MEBIBYTE
LARGEST_BODY_BYTES = int(240 * MEBIBYTE * 0.06) * 3 // 4
PUSH = "/loki/api/v1/push"
CONFIG = """
auth_enabled: true
limits_config:
  discover_service_name: []
  discover_log_levels: false
  ingestion_rate_mb: 10000
  ingestion_burst_size_mb: 10000
  per_stream_rate_limit: 10GB
  per_stream_rate_limit_burst: 10GB
  max_global_streams_per_user: 0
"""


class SmallServer(LogAggregator):
    """Is told how much memory it may use; nothing but itself keeps it to that."""

    def _command(self) -> list[str]:
        return ["prlimit", f"--rss={USABLE_BYTES}", *super()._command()]

    def peak_bytes(self) -> int:
        """Since `forget_peak`."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))

    def forget_peak(self) -> None:
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")


@pytest.fixture(scope="module")
def server() -> Iterator[SmallServer]:
    with SmallServer("-workers=1", config=CONFIG) as server:
        yield server


@pytest.fixture(autouse=True)
def stays_within_its_memory(server: SmallServer) -> Iterator[None]:
    server.forget_peak()
    yield
    assert server.peak_bytes() < USABLE_BYTES


@pytest.fixture
def client(server: SmallServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


def body(labels: dict[str, str], lines: Sequence[str]) -> bytes:
    now = time.time_ns() - len(lines)
    values = [[str(now + number), line] for number, line in enumerate(lines)]
    return json.dumps({"streams": [{"stream": labels, "values": values}]}).encode()


def push(client: httpx.Client, tenant: str, content: bytes) -> httpx.Response:
    headers = {"X-Scope-OrgID": tenant, "Content-Type": "application/json"}
    return client.post(PUSH, content=content, headers=headers)


def query(client: httpx.Client, tenant: str, text: str, **parameters: str) -> httpx.Response:
    now = time.time_ns()
    given = {"query": text, "start": str(now - 3600 * 10**9), "end": str(now), **parameters}
    path = "query" if "time" in given else "query_range"
    return client.get(f"/loki/api/v1/{path}", params=given, headers={"X-Scope-OrgID": tenant})


def unread_bytes(connection: socket.socket) -> int:
    """What its other end has yet to read, as Linux counts it in the queues of both ends."""
    port = f":{connection.getsockname()[1]:04X}"
    ends = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    queues = [end[4].split(":") for end in ends if end[1].endswith(port) or end[2].endswith(port)]
    return sum(int(queue, 16) for both in queues for queue in both)


def at_once(tasks: Sequence[Callable[[], object]]) -> None:
    threads = [threading.Thread(target=task) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def lines_with_ids(count: int, seed: int) -> list[str]:
    source = random.Random(seed)
    return [f'{{"id":"{source.getrandbits(64):016x}","ms":{source.randrange(9000)}}}' for _ in range(count)]


# Pushes


def test_bodies_that_wait_take_bounded_room_and_leave_some_to_others(server: SmallServer, client: httpx.Client) -> None:
    held = LARGEST_BODY_BYTES - MEBIBYTE
    with socket.create_connection(("127.0.0.1", server.port)) as slow:
        head = f"POST {PUSH} HTTP/1.1\r\nHost: x\r\nX-Scope-OrgID: flood\r\nContent-Type: application/json\r\n"
        slow.sendall(f"{head}Content-Length: {LARGEST_BODY_BYTES}\r\n\r\n".encode() + b" " * held)
        large = body({"job": "a"}, ["x" * 1000] * 2000)
        # Whichever of two bodies needs the room last is refused, so the other one is to have it first.
        wait_for(lambda: unread_bytes(slow) == 0)
        refused = push(client, "flood", large)
        assert refused.status_code == 503
        assert refused.headers["Retry-After"] == "1"
        assert refused.text.startswith("The server cannot accept more requests at this time. (bodies of requests take ")
        assert push(client, "other", body({"job": "a"}, ["x" * 1000] * 1000)).status_code == 204
    wait_for(lambda: push(client, "flood", large).status_code == 204)


def test_body_that_never_fits_is_refused_for_good(client: httpx.Client) -> None:
    answer = push(client, "large", b" " * (LARGEST_BODY_BYTES + 1))
    assert answer.status_code == 413
    assert answer.text == (
        f"request body too large: more than {LARGEST_BODY_BYTES} bytes, which is distributor.max_recv_msg_size or what "
        "the memory of the server allows\n"
    )


def test_many_large_bodies_at_once(client: httpx.Client) -> None:
    """Each is a fifth of what the server may use, once it is decoded."""
    large = body({"job": "a"}, ["some words of a line " * 5] * 35_000)
    answers: list[httpx.Response] = []
    at_once([lambda number=number: answers.append(push(client, f"large{number % 2}", large)) for number in range(12)])
    assert {answer.status_code for answer in answers} <= {204, 503}
    assert any(answer.status_code == 204 for answer in answers)
    assert all(answer.headers["Retry-After"] == "1" for answer in answers if answer.status_code == 503)


def test_flood_does_not_starve_others(server: SmallServer, client: httpx.Client) -> None:
    flooding, ended = body({"job": "a"}, ["some words of a line " * 5] * 5000), threading.Event()

    def flood() -> None:
        with httpx.Client(base_url=server.url, timeout=30) as own:
            while not ended.is_set():
                assert push(own, "flood", flooding).status_code in (204, 429, 503)

    threads = [threading.Thread(target=flood) for _ in range(6)]
    for thread in threads:
        thread.start()
    try:
        seconds = []
        for number in range(20):
            begun = time.perf_counter()
            assert push(client, "quiet", body({"job": "quiet"}, [f"line {number}"])).status_code == 204
            assert query(client, "quiet", '{job="quiet"}', limit="1").status_code == 200
            seconds.append(time.perf_counter() - begun)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert sorted(seconds)[10] < 2


def test_thousand_tenants(client: httpx.Client) -> None:
    for number in range(1000):
        assert push(client, f"tenant-{number}", body({"job": "a"}, ["a line"])).status_code == 204
    assert len(query(client, "tenant-999", '{job="a"}').json()["data"]["result"]) == 1


# Queries


@pytest.fixture(scope="module")
def many_lines(server: SmallServer) -> None:
    """Of the tenant `lines`, half of them in chunks."""
    with httpx.Client(base_url=server.url, timeout=30) as client:
        for part in range(4):
            content = body({"cluster": "c", "pod": f"p{part}"}, lines_with_ids(40_000, part))
            wait_for(lambda content=content: push(client, "lines", content).status_code == 204)  # type: ignore[misc]
            if part == 1:
                assert client.post("/flush").status_code == 204


TOO_LARGE = (
    "the query needs too much memory: its {what} take more than 10MB, the share of one of querier.max_concurrent "
    "queries; consider more specific stream selectors or filters, fewer series, or a shorter time range"
)


@pytest.mark.usefixtures("many_lines")
@pytest.mark.parametrize(
    ("text", "parameters", "what"),
    [
        ('topk(1, sum by (id) (count_over_time({cluster=~".+"} | json [1h])))', {"step": "60"}, "series"),
        (
            'topk(1, sum by (id) (count_over_time({cluster=~".+"} | json | line_format "x" [1h])))',
            {"time": "now"},
            "series",
        ),
        ('topk(3, count_over_time({cluster=~".+"} | json [1m]))', {"step": "1"}, "series"),
        ('max(quantile_over_time(0.9, {cluster=~".+"} | json | unwrap ms [1h]))', {"time": "now"}, "series"),
    ],
)
def test_query_that_needs_too_much_is_refused(
    client: httpx.Client, text: str, parameters: dict[str, str], what: str
) -> None:
    given = {**parameters, "time": str(time.time_ns())} if "time" in parameters else parameters
    answer = query(client, "lines", text, **given)
    assert (answer.status_code, answer.text.splitlines()[0]) == (400, TOO_LARGE.format(what=what))


@pytest.mark.usefixtures("many_lines")
@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ('{cluster=~".+"}', {"limit": "5000"}),
        ('{cluster=~".+"} | json', {"limit": "5000"}),
        ('{cluster=~".+"} |~ "(a|b|c)*[0-9]+.*(x|y)+.*(foo|bar)"', {"limit": "5000"}),
        ('quantile_over_time(0.9, {cluster=~".+"} | json | unwrap ms [1h]) by (cluster)', {"time": "now"}),
        ('sum(count_over_time({cluster=~".+"} | json | ms > 100 [1m]))', {"step": "60"}),
    ],
)
def test_query_for_everything_fits(client: httpx.Client, text: str, parameters: dict[str, str]) -> None:
    given = {**parameters, "time": str(time.time_ns())} if "time" in parameters else parameters
    answer = query(client, "lines", text, **given)
    assert answer.status_code == 200, answer.text


def test_ten_thousand_streams(client: httpx.Client) -> None:
    now = str(time.time_ns())
    for part in range(2):
        streams = [
            {"stream": {"cluster": "c", "node": f"n{pod % 50}", "pod": f"pod-{pod:06d}"}, "values": [[now, "a line"]]}
            for pod in range(part * 5000, part * 5000 + 5000)
        ]
        assert push(client, "streams", json.dumps({"streams": streams}).encode()).status_code == 204
    assert client.post("/flush").status_code == 204
    everything = query(client, "streams", '{cluster=~".+"}', limit="5000").json()["data"]["result"]
    assert sum(len(stream["values"]) for stream in everything) == 5000
    total = query(client, "streams", 'sum(count_over_time({cluster="c"}[1h]))', time=str(time.time_ns()))
    assert total.json()["data"]["result"][0]["value"][1] == "10000"


# And after it


@pytest.mark.usefixtures("many_lines")
def test_same_load_again_takes_no_more_memory(server: SmallServer, client: httpx.Client) -> None:
    large = body({"job": "b"}, ["some words of a line " * 5] * 30_000)
    everything = '{cluster=~".+"} | json'

    def load() -> int:
        server.forget_peak()
        at_once(
            [lambda: push(client, "large", large)] * 4
            + [lambda: query(client, "lines", everything, limit="5000")] * 3
            + [lambda: query(client, "lines", f"sum by (id) (count_over_time({everything} [1h]))", step="60")] * 3
        )
        return server.peak_bytes()

    load()
    first = max(load() for _ in range(3))  # which differ by how requests meet
    assert max(load() for _ in range(3)) < first + 48 * MEBIBYTE
    assert query(client, "lines", "{cluster=~`.+`}", limit="1").status_code == 200
