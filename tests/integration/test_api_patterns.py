"""Patterns of log lines over HTTP: the same from the write-ahead log and from the store."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from servers import LogAggregator

SECOND_NS = 1_000_000_000
START = int(time.time()) // 60 * 60 - 600
RANGE = {"start": str(START), "end": str(START + 300)}


@pytest.fixture(scope="module", params=["unflushed", "flushed", "half flushed"])
def client(request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """Ten lines of each of two streams every ten seconds, for two minutes, and ten of another message a minute."""
    with LogAggregator("-pattern-ingester.enabled=true") as server, httpx.Client(base_url=server.url) as client:
        for half in (range(6), range(6, 12)):
            for app in ("one", "two"):
                values = [
                    [str((START + 10 * n) * SECOND_NS), f"level=info user {n * 10 + own} logged in"]
                    for n in half
                    for own in range(10)
                ]
                values += [
                    [str((START + 10 * half[0]) * SECOND_NS), f"level=error disk {app} is full, {half[0] + own} left"]
                    for own in range(10)
                ]
                body = {"streams": [{"stream": {"app": app}, "values": values}]}
                assert client.post("/loki/api/v1/push", json=body).status_code == 204
            if request.param == "flushed" or (request.param == "half flushed" and half[0] == 0):
                assert client.post("/flush", timeout=30).status_code == 204
        yield client


def patterns(client: httpx.Client, **params: str) -> list[dict[str, Any]]:
    answer = client.get("/loki/api/v1/patterns", params=RANGE | params)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["status"] == "success"
    found: list[dict[str, Any]] = body["data"]
    return found


def test_patterns_are_merged_over_streams_and_time(client: httpx.Client) -> None:
    (logins, errors) = patterns(client, query='{app=~".+"}', step="60")
    assert logins == {
        "pattern": "level=info user <_> logged in",
        "level": "info",
        "samples": [[START, 120], [START + 60, 120]],
    }
    assert errors["level"] == "error"
    assert errors["samples"] == [[START, 20], [START + 60, 20]]


def test_selector_and_range_apply(client: httpx.Client) -> None:
    (found,) = patterns(client, query='{app="one"}', step="10s", end=str(START + 30))
    assert found["samples"] == [[START, 10], [START + 10, 10], [START + 20, 10]]
    assert patterns(client, query='{app="three"}') == []
    assert patterns(client, query='{app="one"}', start=str(START + 200)) == []


def test_steps_between_lines_count_none(client: httpx.Client) -> None:
    (_, errors) = patterns(client, query='{app=~".+"}', step="20s")
    assert errors["samples"] == [[START, 20], [START + 20, 0], [START + 40, 0], [START + 60, 20]]
    (_, errors) = patterns(client, query='{app=~".+"}', step="10s")
    assert errors["samples"] == [[START, 20], [START + 60, 20]]


def test_those_of_fewer_than_thirty_lines_are_left_out(client: httpx.Client) -> None:
    assert len(patterns(client, query='{app="one"}', end=str(START + 30))) == 1
    assert patterns(client, query='{app="one"}', end=str(START + 20)) == []


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"query": '{app="one"} |= "x"'}, "only label matchers are supported"),
        ({"query": '{app="one"}', "step": "x"}, 'cannot parse "x" to a valid duration'),
        (
            {"query": "{", "step": "0"},
            "zero or negative query resolution step widths are not accepted. Try a positive integer",
        ),
        ({}, "parse error : syntax error: unexpected $end"),
    ],
)
def test_bad_requests(client: httpx.Client, params: dict[str, str], message: str) -> None:
    answer = client.get("/loki/api/v1/patterns", params=RANGE | params)
    assert (answer.status_code, answer.text.splitlines()[0]) == (400, message)


def test_route_is_missing_by_default() -> None:
    with LogAggregator() as server:
        answer = httpx.get(f"{server.url}/loki/api/v1/patterns", params={"query": '{app="one"}'})
        assert answer.status_code == 404
