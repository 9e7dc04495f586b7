"""Pushes that arrive at the same time are stored as one, and are answered and limited as if each came alone."""

import gzip
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection

import httpx
import pytest

from servers import LogAggregator
from waiting import wait_for

NOW = time.time_ns()
JSON = {"Content-Type": "application/json"}
DAYS = 86_400 * 10**9


@dataclass(frozen=True)
class Sent:
    body: bytes
    headers: dict[str, str] = field(default_factory=lambda: dict(JSON))
    path: str = "/loki/api/v1/push"


def sent(*lines: str, app: str = "a", at: int = NOW, metadata: dict[str, str] | None = None) -> Sent:
    values = [[str(at + row), line, *([metadata] if metadata else [])] for row, line in enumerate(lines)]
    return Sent(json.dumps({"streams": [{"stream": {"app": app}, "values": values}]}).encode())


def exported(*times: int) -> Sent:
    """An OpenTelemetry request of a record for each time."""
    records = [{"timeUnixNano": str(time_ns), "body": {"stringValue": str(time_ns)}} for time_ns in times]
    resource = {"attributes": [{"key": "app", "value": {"stringValue": "shop"}}]}
    request = {"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": records}]}]}
    return Sent(json.dumps(request).encode(), path="/otlp/v1/logs")


def together(server: LogAggregator, pushes: Sequence[Sent]) -> list[tuple[int, str]]:
    """Status and body of each. The server does not run until all are sent."""
    connections = [HTTPConnection("127.0.0.1", server.port, timeout=60) for _ in pushes]
    for connection in connections:  # each is known to the server
        connection.request("GET", "/ready")
        connection.getresponse().read()
    server.pause()
    try:
        for connection, push in zip(connections, pushes, strict=True):
            connection.request("POST", push.path, push.body, push.headers)
    finally:
        server.resume()
    answers = []
    for connection in connections:
        response = connection.getresponse()
        answers.append((response.status, response.read().decode()))
        connection.close()
    return answers


@contextmanager
def serving(config: str = "") -> Iterator[tuple[LogAggregator, httpx.Client]]:
    with LogAggregator(config=config) as server, httpx.Client(base_url=server.url, timeout=30) as client:
        yield server, client


def stored(client: httpx.Client) -> list[tuple[str, str, str]]:
    """App, line and level or trace of each entry."""
    answer = client.get("/loki/api/v1/query_range", params={"query": '{app=~".+"}', "since": "1h", "limit": "5000"})
    assert answer.status_code == 200, answer.text
    entries = []
    for stream in answer.json()["data"]["result"]:
        labels = stream["stream"]
        told = labels.get("trace_id") or labels["detected_level"]
        entries += [(labels["app"], line, told) for _, line in stream["values"]]
    return sorted(entries)


def counted(client: httpx.Client, name: str) -> int:
    """The sum of a counter, whatever its labels."""
    lines = [line for line in client.get("/metrics").text.splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
    return int(sum(float(line.rpartition(" ")[2]) for line in lines))


def test_each_entry_is_stored_once_and_at_once_with_others() -> None:
    pushes = [sent(f"level=warn {number}", f"info {number}", app=str(number % 3)) for number in range(20)]
    pushes += [sent(f"traced {number}", metadata={"trace_id": str(number)}) for number in range(10)]
    with serving() as (server, client):
        assert together(server, pushes) == [(204, "")] * 30
        assert counted(client, "loki_bytes_per_line_count") == 1
        assert counted(client, "loki_distributor_lines_received_total") == 50
        expected = [(str(number % 3), f"level=warn {number}", "warn") for number in range(20)]
        expected += [(str(number % 3), f"info {number}", "info") for number in range(20)]
        expected += [("a", f"traced {number}", str(number)) for number in range(10)]
        assert stored(client) == sorted(expected)


def test_each_is_told_what_is_wrong_with_its_own() -> None:
    pushes = [
        sent("first"),
        sent("old", at=NOW - 30 * DAYS),
        sent("second"),
        Sent(b"{"),
        Sent(gzip.compress(sent("third").body), {**JSON, "Content-Encoding": "gzip"}),
        Sent(b'{"streams": []}'),
        Sent(sent("x").body, {**JSON, "Content-Encoding": "rot13"}),
        sent("x" * 300_000),
    ]
    with serving() as (server, client):
        answers = together(server, pushes)
        assert [status for status, _ in answers] == [204, 400, 204, 400, 204, 422, 400, 400]
        assert "has timestamp too old" in answers[1][1]
        assert "invalid JSON push request" in answers[3][1]
        assert 'Content-Encoding "rot13" not supported' in answers[6][1]
        assert "max entry size" in answers[7][1]
        assert [line for _, line, _ in stored(client)] == ["first", "second", "third"]


def test_each_exporter_is_told_of_its_own_records() -> None:
    old = NOW - 30 * DAYS
    pushes = [exported(NOW), exported(NOW + 1, old, NOW + 2), exported(old), exported(NOW + 3), sent("x")]
    with serving() as (server, client):
        answers = together(server, pushes)
        assert [status for status, _ in answers] == [200, 200, 400, 200, 204]
        assert json.loads(answers[1][1])["partialSuccess"]["rejectedLogRecords"] == "1"
        assert [text for _, text in (answers[0], answers[3])] == ["{}", "{}"]
        query = {"query": '{service_name="unknown_service"}', "since": "1h"}
        (stream,) = client.get("/loki/api/v1/query_range", params=query).json()["data"]["result"]
        assert sorted(line for _, line in stream["values"]) == [str(NOW + number) for number in range(4)]


@pytest.mark.parametrize(
    ("limits", "pushes", "passed", "told"),
    [
        (
            "{max_global_streams_per_user: 3}",
            [sent("x", app=str(n)) for n in range(5)],
            3,
            "maximum active stream limit exceeded",
        ),
        (
            "{per_stream_rate_limit: 1, per_stream_rate_limit_burst: 1000}",
            [sent("x" * 400, at=NOW + n) for n in range(5)],
            2,
            "Per stream rate limit exceeded",
        ),
        (
            "{ingestion_rate_mb: 0.000001, ingestion_burst_size_mb: 0.001}",
            [sent("x" * 400, app=str(n)) for n in range(5)],
            2,
            "ingestion rate limit exceeded",
        ),
    ],
)
def test_limits_refuse_no_more_than_of_pushes_that_come_alone(
    limits: str, pushes: list[Sent], passed: int, told: str
) -> None:
    with serving(f"limits_config: {limits}") as (server, client):
        answers = together(server, pushes)
        assert sorted(status for status, _ in answers) == [204] * passed + [429] * (5 - passed)
        assert all(told in text for status, text in answers if status == 429)
        assert len(stored(client)) == passed
        assert counted(client, "loki_distributor_lines_received_total") == 5
        assert counted(client, "loki_discarded_samples_total") == 5 - passed


def test_pushes_beyond_a_rate_make_no_streams_active() -> None:
    limits = "{ingestion_rate_mb: 0.0001, ingestion_burst_size_mb: 0.001, max_global_streams_per_user: 3}"
    with serving(f"limits_config: {limits}") as (server, _):
        assert together(server, [sent("x" * 1000, app="first")]) == [(204, "")]
        refused = together(server, [sent("x" * 600, app=str(number)) for number in range(4)])
        assert [status for status, _ in refused] == [429] * 4

        def is_admitted() -> bool:
            return together(server, [sent("x" * 60, app="last")])[0][0] == 204

        wait_for(is_admitted)
