"""Delete requests over HTTP: made, effective at once, cancelled, carried out."""

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
NOW = int(time.time())
# Long over, so that its index period is compacted; and just now.
OLD = (NOW // 86_400 - 3) * 86_400 + 36_000
CONFIG = """
auth_enabled: true
compactor:
  retention_enabled: true
  compaction_interval: 1s
  delete_request_cancel_period: {cancel_period}
  delete_max_interval: 1m
limits_config:
  reject_old_samples: false
  discover_log_levels: false
runtime_config:
  file: {overrides}
"""
OVERRIDES = """
overrides:
  forbidden: {deletion_mode: disabled}
"""


def started(directory: Path, cancel_period: str) -> LogAggregator:
    overrides = directory / "overrides.yaml"
    overrides.write_text(OVERRIDES)
    return LogAggregator("-workers=2", config=CONFIG.format(cancel_period=cancel_period, overrides=overrides))


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Two processes that carry nothing out yet."""
    with (
        started(tmp_path_factory.mktemp("config"), "24h") as server,
        httpx.Client(base_url=server.url, timeout=30) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def prompt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Two processes that carry out what they are asked for."""
    with (
        started(tmp_path_factory.mktemp("config"), "0s") as server,
        httpx.Client(base_url=server.url, timeout=30) as client,
    ):
        yield client


class Tenant:
    def __init__(self, client: httpx.Client, name: str) -> None:
        self._client = client
        self._headers = {"X-Scope-OrgID": name}

    def push(self, app: str, *lines: str, start: int = OLD) -> None:
        values = [[str((start + number) * SECOND_NS), line] for number, line in enumerate(lines)]
        body = {"streams": [{"stream": {"app": app}, "values": values}]}
        assert self._client.post("/loki/api/v1/push", json=body, headers=self._headers).status_code == 204

    def flush(self) -> None:
        assert self._client.post("/flush").status_code == 204

    def lines(self) -> list[str]:
        params = {"query": '{app=~".+"}', "start": str(OLD - 10), "end": str(NOW + 10), "limit": "1000"}
        answer = self._get("/loki/api/v1/query_range", params)
        return sorted(line for stream in answer["data"]["result"] for _, line in stream["values"])

    def count(self, query: str) -> int:
        answer = self._get("/loki/api/v1/query", {"query": f"sum(count_over_time({query}[96h]))"})
        return sum(int(sample["value"][1]) for sample in answer["data"]["result"])

    def apps(self) -> list[str]:
        span = {"start": str(OLD - 10), "end": str(NOW + 10)}
        return [series["app"] for series in self._get("/loki/api/v1/series", span)["data"]]

    def delete(self, query: str, **params: str) -> httpx.Response:
        given = {"query": query, "start": str(OLD - 10), **params}
        return self._client.post("/loki/api/v1/delete", params=given, headers=self._headers)

    def requests(self, **params: str) -> list[Any]:
        found: list[Any] = self._get("/loki/api/v1/delete", params)
        return found

    def cancel(self, **params: str) -> httpx.Response:
        return self._client.delete("/loki/api/v1/delete", params=params, headers=self._headers)

    def _get(self, path: str, params: dict[str, str]) -> Any:
        answer = self._client.get(path, params=params, headers=self._headers)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.mark.parametrize("flushed", [False, True])
def test_what_is_deleted_is_hidden_at_once_on_every_process(patient: httpx.Client, flushed: bool) -> None:
    tenant = Tenant(patient, f"hidden-{flushed}")
    tenant.push("one", "level=info a=1", "level=error a=2", "level=info a=3")
    tenant.push("two", "level=info b=1", "level=error b=2")
    if flushed:
        tenant.flush()
    assert len(tenant.lines()) == 5
    assert tenant.delete('{app="one"} |= "error"').status_code == 204
    for _ in range(8):  # whichever process answers
        assert tenant.lines() == ["level=error b=2", "level=info a=1", "level=info a=3", "level=info b=1"]
    assert tenant.delete('{app="one"} | logfmt | a="3"').status_code == 204
    assert tenant.lines() == ["level=error b=2", "level=info a=1", "level=info b=1"]
    assert tenant.count('{app="one"}') == 1
    assert tenant.count('{app=~".+"} |= "level"') == 3
    assert tenant.apps() == ["one", "two"]
    assert tenant.delete('{app="two"}').status_code == 204
    assert tenant.lines() == ["level=info a=1"]
    if flushed:
        assert tenant.apps() == ["one"]


def test_only_the_time_that_is_asked_for_is_hidden(patient: httpx.Client) -> None:
    tenant = Tenant(patient, "times")
    tenant.push("one", *(f"line {number}" for number in range(6)))
    assert tenant.delete('{app="one"}', start=str(OLD + 1), end=str(OLD + 3)).status_code == 204
    assert tenant.lines() == ["line 0", "line 4", "line 5"]


def test_other_tenants_keep_what_is_theirs(patient: httpx.Client) -> None:
    one, other = Tenant(patient, "one"), Tenant(patient, "other")
    for tenant in (one, other):
        tenant.push("app", "line")
    assert one.delete('{app="app"}').status_code == 204
    assert (one.lines(), other.lines()) == ([], ["line"])


def test_a_request_is_listed_until_it_is_cancelled(patient: httpx.Client) -> None:
    tenant = Tenant(patient, "cancelling")
    tenant.push("one", "line")
    assert tenant.requests() == []
    tenant.delete('{app="one"}', end=str(OLD + 100))
    (request,) = tenant.requests()
    assert request["created_at"] == pytest.approx(time.time(), abs=60)
    assert {name: request[name] for name in ("start_time", "end_time", "query", "status", "user_id")} == {
        "start_time": OLD - 10,
        "end_time": OLD + 100,
        "query": '{app="one"}',
        "status": "received",
        "user_id": "cancelling",
    }
    assert tenant.lines() == []
    assert tenant.cancel(request_id=request["request_id"]).status_code == 204
    for _ in range(8):
        assert tenant.lines() == ["line"]
    assert tenant.requests() == []
    answer = tenant.cancel(request_id=request["request_id"])
    assert (answer.status_code, answer.text) == (404, "could not find delete request with given id\n")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"query": ""}, "query not set"),
        ({"query": "not a query"}, "invalid query expression"),
        ({"query": 'rate({app="x"}[1m])'}, "invalid query expression"),
        ({"start": ""}, "start time not set"),
        ({"query": "not a query", "start": ""}, "invalid query expression"),
        ({"start": "100"}, "invalid start time: require unix seconds or RFC3339 format"),
        ({"start": "0000000000000"}, "invalid start time: require unix seconds or RFC3339 format"),
        ({"end": "0000000000001"}, "invalid end time: require unix seconds or RFC3339 format"),
        ({"end": "soon"}, "invalid end time: require unix seconds or RFC3339 format"),
        ({"end": str(NOW + 3600)}, "deletes in the future are not allowed"),
        ({"start": "0000000001", "end": "0000000000"}, "start time can't be greater than or equal to end time"),
        (
            {"start": "0000000005", "end": "1970-01-01T00:00:05Z"},
            "start time can't be greater than or equal to end time",
        ),
        ({"max_interval": "not-a-duration"}, "invalid max_interval: valid time units are 's', 'm', 'h'"),
        ({"max_interval": "1ms"}, "invalid max_interval: valid time units are 's', 'm', 'h'"),
        ({"max_interval": "1h"}, "max_interval can't be greater than 1m0s"),
        (
            {"end": "0000000001", "max_interval": "30s"},
            "max_interval can't be greater than the interval to be deleted (1s)",
        ),
    ],
)
def test_what_is_wrong_with_a_request(patient: httpx.Client, params: dict[str, str], message: str) -> None:
    given = {"query": '{app="x"} |= "y"', "start": "0000000000", "end": "0000000010", **params}
    answer = Tenant(patient, "wrong").delete(**given)
    assert (answer.status_code, answer.text) == (400, message + "\n")


@pytest.mark.parametrize("query", ['{app="x"}', '{app="x"} |= "" | json'])
def test_interval_of_a_request_without_a_filter_does_not_matter(patient: httpx.Client, query: str) -> None:
    answer = Tenant(patient, "interval").delete(query, start="0000000000", end="0000000001", max_interval="1h")
    assert answer.status_code == 204


def test_an_answer_tells_the_id_of_the_request(patient: httpx.Client) -> None:
    tenant = Tenant(patient, "telling")
    answer = tenant.delete('{app="one"}', start="0000000000", end="0000000001")
    assert [request["request_id"] for request in tenant.requests()] == [answer.headers["X-Delete-Request-ID"]]


def test_requests_of_a_time_are_listed(patient: httpx.Client) -> None:
    tenant = Tenant(patient, "listing")
    tenant.delete('{app="first"}', start="0000000010", end="0000000020")
    tenant.delete('{app="second"}', start="0000000030", end="0000000040")

    def listed(**params: str) -> list[str]:
        return [request["query"] for request in tenant.requests(**params)]

    assert listed(start="0000000020", end="0000000029") == ['{app="first"}']
    assert listed(start="0000000021", end="0000000030") == ['{app="second"}']
    assert listed(start="0000000021", end="0000000029") == []
    assert listed(start="0000000021") == ['{app="first"}', '{app="second"}']


def test_a_tenant_without_deletion_is_refused(patient: httpx.Client) -> None:
    answer = Tenant(patient, "forbidden").delete('{app="x"}')
    assert (answer.status_code, answer.text) == (403, "deletion is not available for this tenant\n")


def test_the_command_deletes_what_is_older(patient: httpx.Client) -> None:
    tenant = Tenant(patient, "command")
    tenant.push("one", "old")
    tenant.push("one", "new", start=NOW)
    program = Path(sys.executable).parent / "log-aggregator"
    where = ["--url", str(patient.base_url), "--org-id", "command"]
    done = subprocess.run(
        [program, "delete", "--older-than", "1d", *where], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.startswith("entries of {} before 20")
    assert tenant.lines() == ["new"]


async def test_deletions_are_carried_out(prompt: httpx.Client) -> None:
    tenant = Tenant(prompt, "carried-out")
    tenant.push("one", *(f"level={'error' if number % 2 else 'info'} n={number}" for number in range(10)))
    tenant.push("two", "stays")
    tenant.flush()
    assert tenant.delete('{app="one"} |= "error"').status_code == 204

    async def processed() -> bool:
        return [request["status"] for request in tenant.requests()] == ["processed"]

    await until(processed)
    assert tenant.lines() == [f"level=info n={number}" for number in range(0, 10, 2)] + ["stays"]
    (request,) = tenant.requests()
    answer = tenant.cancel(request_id=request["request_id"])
    assert answer.text == "deletion of request which is in process or already processed is not allowed\n"
