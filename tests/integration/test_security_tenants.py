"""Tenants see nothing of each other, whatever they are called and however they ask."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from servers import LogAggregator
from waiting import wait_for

CONFIG = """
auth_enabled: true
querier: {{multi_tenant_queries_enabled: true}}
compactor: {{retention_enabled: true, delete_request_cancel_period: 0s}}
pattern_ingester: {{enabled: true}}
common: {{storage: {{filesystem: {{chunks_directory: {directory}/chunks}}}}}}
"""
# Some are parts of others, some are what directories, keys or patterns are made of here.
TENANTS = [
    *(
        "a",
        "A",
        "aa",
        "a.b",
        ".a",
        "a.",
        "...",
        "..a",
        "-",
        "_",
        "!",
        "(a)",
        "a*",
        "*",
        "*filling-a",
        "'a'",
        "a-b",
        "fake",
    ),
    *("index", "chunks", "deletes", "compacted", "readiness-probe", "tmp", "0", "x" * 150),
]
WRONG = [
    *(
        "a/b",
        "/a",
        "a/",
        "..",
        ".",
        "../a",
        "a/../A",
        "a\\b",
        "a:b",
        "a b",
        "a%2Fb",
        "a\u00e4",
        "\u00e4",
        "a\tb",
        "{a}",
    ),
    *("x" * 151, "\u202e", "a,b", "a;b", "a?b", "a#b", "~a", "$a", '"a"', "[a]", "a@b", "a+b", "a=b", "a&b", "`a`"),
]
READS = [
    "labels",
    "label/app/values",
    "series?match[]={app=%22a%22}",
    "query_range?query={app=%22a%22}",
    "query_range?query=count_over_time({app=%22a%22}[5m])",
    "query?query=sum(count_over_time({app=%22a%22}[5m]))",
    "index/stats?query={app=%22a%22}",
    "index/volume?query={app=%22a%22}",
    "detected_labels",
    "detected_fields?query={app=%22a%22}",
    "patterns?query={app=%22a%22}",
    "drilldown-limits",
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LogAggregator]:
    directory: Path = tmp_path_factory.mktemp("tenants")
    with LogAggregator(config=CONFIG.format(directory=directory)) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: LogAggregator) -> Iterator[httpx.Client]:
    """Each tenant has two lines in chunks and one in the log, under a label that names the tenant."""
    with httpx.Client(base_url=server.url, timeout=30) as client:
        for tenant in TENANTS:
            push(client, tenant, "first", "second")
        assert client.post("/flush").status_code == 204
        for tenant in TENANTS:
            push(client, tenant, "third")
        yield client


def push(client: httpx.Client, tenant: str, *words: str) -> None:
    now = time.time_ns()
    values = [[str(now + number), f"{word} of {tenant}"] for number, word in enumerate(words)]
    streams = [{"stream": {"app": "a", "own": f"<{tenant}>"}, "values": values}]
    answer = client.post("/loki/api/v1/push", json={"streams": streams}, headers=of(tenant))
    assert answer.status_code == 204, answer.text


def of(tenant: str) -> dict[str, str]:
    return {"X-Scope-OrgID": tenant}


def lines(client: httpx.Client, tenant: str, **parameters: str) -> list[str]:
    given = {"query": '{app="a"}', "direction": "forward"} | parameters
    answer = client.get("/loki/api/v1/query_range", params=given, headers=of(tenant))
    assert answer.status_code == 200, answer.text
    values = [value for stream in answer.json()["data"]["result"] for value in stream["values"]]
    return [line for _, line in sorted(values)]


@pytest.mark.parametrize("tenant", TENANTS)
def test_a_tenant_finds_its_own_lines_and_no_others(client: httpx.Client, tenant: str) -> None:
    assert lines(client, tenant) == [f"{word} of {tenant}" for word in ("first", "second", "third")]
    values = client.get("/loki/api/v1/label/own/values", headers=of(tenant)).json()["data"]
    assert values == [f"<{tenant}>"]
    statistics = client.get("/loki/api/v1/index/stats", params={"query": '{app="a"}'}, headers=of(tenant)).json()
    assert (statistics["streams"], statistics["entries"]) == (1, 3)


@pytest.mark.parametrize("path", READS)
def test_no_read_shows_another_tenant(client: httpx.Client, path: str) -> None:
    """Asked one after the other, so that what is kept for one would be found by the next."""
    for tenant in (*TENANTS, *reversed(TENANTS)):
        text = client.get(f"/loki/api/v1/{path}", headers=of(tenant)).text
        assert not [other for other in TENANTS if other != tenant and f"<{other}>" in text.replace("\\u003c", "<")]
        assert not [other for other in TENANTS if other != tenant and f'of {other}"' in text]
    nobody = client.get(f"/loki/api/v1/{path}", headers=of("nobody")).text
    assert "<" not in nobody.replace("\\u003c", "<")


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("path", ["labels", "query_range?query={app=%22a%22}", "delete"])
def test_names_that_keys_cannot_hold_are_refused(client: httpx.Client, path: str, name: str) -> None:
    raw = [(b"X-Scope-OrgID", name.encode())]
    for header in (raw, [(b"X-Scope-OrgID", f"a|{name}".encode())]):
        answer = client.get(f"/loki/api/v1/{path}", headers=header)
        assert answer.status_code == 400, answer.text
    assert client.post("/loki/api/v1/push", json={"streams": []}, headers=raw).status_code == 400


@pytest.mark.parametrize("name", ["a|A", "|", "a|", "|a"])
def test_several_tenants_can_only_be_asked_for_lines(client: httpx.Client, name: str) -> None:
    for method, path in (("POST", "push"), ("GET", "delete"), ("POST", "delete?query={app=%22a%22}&start=1")):
        assert client.request(method, f"/loki/api/v1/{path}", headers=of(name)).status_code == 400


def test_a_cursor_of_another_tenant_is_only_a_range(client: httpx.Client) -> None:
    asked = {"query": '{app="a"}', "direction": "forward", "limit": "1"}
    first = client.get("/loki/api/v1/query_range", params=asked | {"cursor": ""}, headers=of("a"))
    cursor = first.headers.get("X-Next-Cursor", "")
    assert cursor
    assert set(lines(client, "A", cursor=cursor, limit="10")) <= {
        f"{word} of A" for word in ("first", "second", "third")
    }


def test_a_tail_has_its_own_tenant_only(server: LogAggregator, client: httpx.Client) -> None:
    url = f"ws://127.0.0.1:{server.port}/loki/api/v1/tail?query=%7Bapp%3D%22tail%22%7D"
    with connect(url, additional_headers=of("A")) as websocket:
        for tenant in ("a", "a*", "*", "*filling-a", "A"):
            streams = [{"stream": {"app": "tail"}, "values": [[str(time.time_ns()), f"tail of {tenant}"]]}]
            client.post("/loki/api/v1/push", json={"streams": streams}, headers=of(tenant)).raise_for_status()
        seen = [value[1] for stream in json.loads(websocket.recv(timeout=20))["streams"] for value in stream["values"]]
    assert seen == ["tail of A"]


def test_a_delete_deletes_of_its_own_tenant_only(client: httpx.Client) -> None:
    """Last in this file: one tenant's lines are gone after it."""
    asked = {"query": '{app="a"}', "start": str(int(time.time()) - 3600)}
    made = client.post("/loki/api/v1/delete", params=asked, headers=of("*"))
    assert made.status_code == 204, made.text
    (request,) = client.get("/loki/api/v1/delete", headers=of("*")).json()
    assert client.get("/loki/api/v1/delete", headers=of("a")).json() == []
    stolen = client.delete("/loki/api/v1/delete", params={"request_id": request["request_id"]}, headers=of("a"))
    assert stolen.status_code in (400, 404)
    sly = client.delete(
        "/loki/api/v1/delete", params={"request_id": f"../../*/deletes/{request['request_id']}"}, headers=of("a")
    )
    assert sly.status_code in (400, 404)
    wait_for(lambda: lines(client, "*") == [])
    for tenant in TENANTS:
        if tenant != "*":
            assert len(lines(client, tenant)) == 3
