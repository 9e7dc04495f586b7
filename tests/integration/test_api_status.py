"""Routes about the server itself, and those that Grafana asks to learn what there is not."""

import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import httpx
import pytest
import yaml

from servers import LogAggregator


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with LogAggregator() as server, httpx.Client(base_url=server.url) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/loki/api/v1/rules", 404, "no rule groups found\n"),
        ("/api/prom/rules", 404, "no rule groups found\n"),
        ("/api/prom/rules/test", 404, "no rule groups found\n"),
        ("/api/prom/rules/test/test", 404, "group does not exist\n"),
        ("/loki/api/v1/rules/test/test", 404, "group does not exist\n"),
        ("/loki/api/v1/cache/generation_numbers", 200, '""'),
        ("/loki/api/v1/nosuch", 404, "404 page not found\n"),
        ("/loki/api/v1/labels/", 404, "404 page not found\n"),
    ],
)
def test_plain_answers(client: httpx.Client, path: str, status: int, text: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.text) == (status, text)


@pytest.mark.parametrize(
    ("path", "clean"),
    [
        ("//", "/"),
        ("//loki/api/v1/labels?query={a=%22b%22}", "/loki/api/v1/labels?query={a=%22b%22}"),
        ("/loki//api/./v1/x/../labels/", "/loki/api/v1/labels/"),
        ("/loki/api/v1/label//values", "/loki/api/v1/label/values"),
        ("//elsewhere.example/%0d%0aX:%20y", "/elsewhere.example/%0D%0AX:%20y"),
    ],
)
def test_unclean_paths_are_redirected(client: httpx.Client, path: str, clean: str) -> None:
    for method in ("GET", "POST"):
        assert asked_raw(client, method, path) == (301, clean, "")


def asked_raw(client: httpx.Client, method: str, url: str) -> tuple[int, str | None, str]:
    """Status, location and text of the answer to a request whose URL is sent as it is."""
    with closing(HTTPConnection(client.base_url.host, client.base_url.port)) as connection:
        connection.request(method, url)
        with connection.getresponse() as answer:
            return answer.status, answer.getheader("Location"), answer.read().decode()


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("a=%zz", 'invalid URL escape "%zz"'),
        ("query=%7Ba=%22b%22%7D&b=1%&c=d", 'invalid URL escape "%"'),
        ("a=%zz&start=1;end=2", "invalid semicolon separator in query"),
    ],
)
def test_parameters_that_are_wrongly_encoded_are_refused(client: httpx.Client, query: str, message: str) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for path in ("/loki/api/v1/labels", "/loki/api/v1/query_range", "/loki/api/v1/index/stats"):
        answer = client.post(path, content=query, headers=form)
        assert (answer.status_code, answer.text) == (400, message)
        assert asked_raw(client, "GET", f"{path}?{query}") == (400, None, message)


def test_posted_form_comes_before_the_query_string(client: httpx.Client) -> None:
    answer = client.post("/loki/api/v1/format_query", params={"query": "{a='x'}"}, data={"query": "{a=`x`}"})
    assert answer.json() == {"status": "success", "data": '{a="x"}'}


@pytest.mark.parametrize(("path", "kind"), [("rules", "groups"), ("alerts", "alerts")])
def test_there_are_no_rules(client: httpx.Client, path: str, kind: str) -> None:
    answer = client.get(f"/prometheus/api/v1/{path}")
    assert answer.json() == {"status": "success", "data": {kind: []}, "errorType": "", "error": ""}


def test_log_level_is_shown_and_changed(client: httpx.Client) -> None:
    def ask(method: str, **params: str) -> tuple[int, Any]:
        answer = client.request(method, "/log_level", params=params)
        return answer.status_code, answer.json()

    assert ask("GET") == (200, {"message": "Current log level is info"})
    assert ask("POST", log_level="debug") == (200, {"status": "success", "message": "Log level set to debug"})
    assert ask("GET") == (200, {"message": "Current log level is debug"})
    assert ask("POST", log_level="zzz") == (400, {"status": "failed", "message": 'unrecognized log level "zzz"'})
    assert client.post("/log_level", data={"log_level": "info"}).status_code == 200


@pytest.mark.parametrize("path", ["/ring", "/distributor/ring", "/compactor/ring", "/partition-ring", "/memberlist"])
def test_ring_pages_name_the_replicas(client: httpx.Client, path: str) -> None:
    first, empty, replica = client.get(path).text.splitlines()
    assert (first, empty) == ("stateless: no ring", "")
    assert " holds write-ahead log " in replica


def test_limits_are_published(client: httpx.Client) -> None:
    drilldown = client.get("/loki/api/v1/drilldown-limits").json()
    assert drilldown.keys() == {"limits", "pattern_ingester_enabled", "version"}
    assert drilldown["limits"]["max_entries_limit_per_query"] == 5000
    assert drilldown["limits"]["max_query_length"] == "30d1h"
    assert drilldown["limits"]["volume_enabled"] is True
    assert drilldown["limits"]["log_level_fields"][:4] == ["level", "LEVEL", "Level", "log.level"]
    assert yaml.safe_load(client.get("/config/tenant/v1/limits").text) == drilldown["limits"]


def test_long_urls_are_read(client: httpx.Client) -> None:
    answer = client.get("/loki/api/v1/labels", params={"query": '{app="' + "x" * 60_000 + '"}'})
    assert (answer.status_code, answer.json()) == (200, {"status": "success"})


def test_longer_ones_are_refused(client: httpx.Client) -> None:
    answer = client.get("/loki/api/v1/labels", params={"query": "x" * 60_000}, headers={"X-Filler": "x" * 10_000})
    assert (answer.status_code, answer.text) == (400, "URL and headers exceed 65536 bytes: send a long query by POST\n")


def test_running_services_are_listed(client: httpx.Client) -> None:
    assert "ingester => Running\n" in client.get("/services").text


def test_prepared_shutdown_is_remembered(client: httpx.Client) -> None:
    path = "/ingester/prepare_shutdown"
    assert client.get(path).text == "unset\n"
    assert client.post(path).status_code == 204
    assert client.get(path).text == "set\n"
    assert client.delete(path).status_code == 204
    assert client.get(path).text == "unset\n"


def test_shutdown_answers_and_ends_the_process() -> None:
    with LogAggregator() as server:
        assert httpx.post(f"{server.url}/ingester/shutdown", params={"terminate": "false"}).status_code == 204
        assert httpx.get(f"{server.url}/ready").status_code == 200
        assert httpx.post(f"{server.url}/ingester/shutdown").status_code == 204
        until_gone(server.url)


def until_gone(url: str) -> None:
    deadline = time.monotonic() + 30
    with pytest.raises(httpx.TransportError):  # noqa: PT012
        while time.monotonic() < deadline:
            httpx.get(f"{url}/ready")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"start": "9", "end": "1", "limit": "x"}, "end timestamp must not be before or equal to start time"),
        ({"limit": "x", "direction": "y"}, 'strconv.Atoi: parsing "x": invalid syntax'),
        ({"direction": "y", "step": "x"}, "invalid direction 'y'"),
        (
            {"step": "0", "interval": "x"},
            "zero or negative query resolution step widths are not accepted. Try a positive integer",
        ),
        (
            {"start": "0", "end": "11001", "step": "1", "interval": "x", "query": "{"},
            "exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step "
            "parameter",
        ),
        (
            {"start": "0", "end": "9999999", "limit": "5001"},
            "max entries limit per query exceeded, limit > max_entries_limit_per_query (5001 > 5000)",
        ),
        ({"interval": "x", "query": "{"}, 'cannot parse "x" to a valid duration'),
    ],
)
def test_the_first_parameter_that_is_wrong(client: httpx.Client, params: dict[str, str], message: str) -> None:
    answer = client.get("/loki/api/v1/query_range", params={"query": '{app="x"}'} | params)
    assert (answer.status_code, answer.text.splitlines()[0]) == (400, message)


@pytest.mark.parametrize(
    ("header", "flags"), [("x", ["x"]), ("x, y", [" y", "x"]), (",", [""]), ("x,x", ["x"]), ("", None)]
)
def test_encoding_flags_are_given_back(client: httpx.Client, header: str, flags: list[str] | None) -> None:
    answer = client.get(
        "/loki/api/v1/query_range",
        params={"query": '{app="x"}'},
        headers={"X-Loki-Response-Encoding-Flags": header},
    )
    assert answer.json()["data"].get("encodingFlags") == flags


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_entries_of_a_stream_that_stages_make_equal_count_once(client: httpx.Client, direction: str) -> None:
    now = time.time_ns()
    lines = [[str(now), "a"], [str(now), "b", {"id": "1"}], [str(now), "c"], [str(now + 1), "a"]]
    streams = [{"stream": {"app": direction, "side": side}, "values": lines} for side in ("left", "right")]
    client.post("/loki/api/v1/push", json={"streams": streams}).raise_for_status()

    def entries(stages: str) -> int:
        params = {"query": f'{{app="{direction}"}} {stages}', "end": str(now + 2), "direction": direction}
        found = client.get("/loki/api/v1/query_range", params=params).json()["data"]["result"]
        return sum(len(stream["values"]) for stream in found)

    assert entries("") == 8
    assert entries('| line_format "x"') == 6
    assert entries('| line_format "x" | keep app') == 4
