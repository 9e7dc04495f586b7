"""Built-in authentication of a real server: who may do what for which tenant, and what nobody gets to see."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from servers import LogAggregator, RedisServer
from waiting import wait_for

TOKEN, PASSWORD, SECRET = "token-of-the-agent", "pässword of grafana", "secret-that-nobody-sees"
CONFIG = """
auth_enabled: true
auth:
  users:
    - {{name: grafana, password_env: GRAFANA_PASSWORD, tenants: [one, two]}}
    - {{name: operator, password_file: {directory}/operator, tenants: [one], scopes: [read, write, admin, metrics]}}
  tokens:
    - {{name: agent, token_file: {directory}/agent, tenants: [one], scopes: [write]}}
    - {{name: anywhere, token_env: SECRET_TOKEN, tenants: ['*'], scopes: [read, write]}}
querier: {{multi_tenant_queries_enabled: true}}
compactor: {{retention_enabled: true}}
redis: {{prefix: p}}
common: {{storage: {{filesystem: {{chunks_directory: {directory}/chunks}}}}}}
"""
GRAFANA, OPERATOR = httpx.BasicAuth("grafana", PASSWORD), httpx.BasicAuth("operator", SECRET)
PUSH, LABELS, QUERY = "/loki/api/v1/push", "/loki/api/v1/labels", "/loki/api/v1/query_range"
ADMIN_ROUTES = [
    ("GET", "/config"),
    ("GET", "/services"),
    ("GET", "/compactor/lifecycle"),
    ("GET", "/ring"),
    ("GET", "/log_level"),
    ("POST", "/log_level?log_level=debug"),
    ("POST", "/flush"),
    ("GET", "/ingester/prepare_shutdown"),
    ("POST", "/ingester/shutdown"),
    ("GET", "/loki/api/v1/delete"),
    ("POST", "/loki/api/v1/delete?query={a=%22b%22}&start=1"),
    ("DELETE", "/loki/api/v1/delete?request_id=1"),
]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("secrets")
    (directory / "operator").write_text(SECRET + "\n")
    (directory / "agent").write_text(TOKEN)
    return directory


class Guarded(LogAggregator):
    def _environment(self) -> dict[str, str]:
        return super()._environment() | {"GRAFANA_PASSWORD": PASSWORD, "SECRET_TOKEN": f"{SECRET}-token"}


@pytest.fixture(scope="module")
def server(directory: Path) -> Iterator[LogAggregator]:
    with Guarded("-log.level=debug", config=CONFIG.format(directory=directory)) as server:
        yield server


@pytest.fixture
def client(server: LogAggregator) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


def bearer(token: str, tenant: str = "") -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} | ({"X-Scope-OrgID": tenant} if tenant else {})


def body(line: str = "hello") -> dict[str, object]:
    return {"streams": [{"stream": {"app": "a"}, "values": [[str(time.time_ns()), line]]}]}


def lines(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [value[1] for stream in answer.json()["data"]["result"] for value in stream["values"]]


@pytest.mark.parametrize("path", ["/ready", "/loki/api/v1/status/buildinfo"])
def test_probes_need_no_credentials(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 200


@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("GET", "/metrics"), ("GET", LABELS), *ADMIN_ROUTES])
def test_all_else_asks_for_credentials(client: httpx.Client, method: str, path: str) -> None:
    answer = client.request(method, path, headers={"X-Scope-OrgID": "one"})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith('Basic realm="log-aggregator"')
    assert answer.text.rstrip() == "no credentials: send an Authorization header, basic or bearer"


@pytest.mark.parametrize("path", [PUSH, "/api/prom/push", "/otlp/v1/logs"])
def test_pushes_ask_for_credentials(client: httpx.Client, path: str) -> None:
    answer = client.post(path, json=body(), headers={"X-Scope-OrgID": "one"})
    assert answer.status_code == 401
    assert "WWW-Authenticate" in answer.headers


@pytest.mark.parametrize(("method", "path"), ADMIN_ROUTES)
def test_the_missing_scope_is_named(client: httpx.Client, method: str, path: str) -> None:
    answer = client.request(method, path, headers=bearer(f"{SECRET}-token", "one"))
    assert answer.status_code == 403
    assert answer.text == "this needs the scope 'admin', which 'anywhere' does not have\n"


def test_reading_and_writing_are_told_apart(client: httpx.Client) -> None:
    assert client.post(PUSH, json=body(), headers=bearer(TOKEN)).status_code == 204
    assert client.get(LABELS, headers=bearer(TOKEN)).status_code == 403
    assert client.get(LABELS, auth=GRAFANA, headers={"X-Scope-OrgID": "one"}).status_code == 200
    assert client.post(PUSH, json=body(), auth=GRAFANA, headers={"X-Scope-OrgID": "one"}).status_code == 403
    assert client.get("/metrics", auth=GRAFANA).status_code == 403
    assert client.get("/metrics", auth=OPERATOR).status_code == 200


def test_the_only_tenant_of_a_caller_is_implied(client: httpx.Client) -> None:
    line = f"implied {time.time_ns()}"
    assert client.post(PUSH, json=body(line), headers=bearer(TOKEN)).status_code == 204
    found = client.get(QUERY, params={"query": '{app="a"}'}, auth=GRAFANA, headers={"X-Scope-OrgID": "one"})
    assert line in lines(found)
    assert client.get(LABELS, auth=GRAFANA).text == "no org id"
    assert client.get(LABELS, headers=bearer(f"{SECRET}-token")).status_code == 401


@pytest.mark.parametrize("tenant", ["three", "one|three", "three|one", "*", "ONE", "one,two"])
def test_tenants_of_others_are_refused(client: httpx.Client, tenant: str) -> None:
    answer = client.get(QUERY, params={"query": '{app="a"}'}, auth=GRAFANA, headers={"X-Scope-OrgID": tenant})
    assert answer.status_code in (400, 403)
    assert client.post(PUSH, json=body(), headers=bearer(TOKEN, tenant)).status_code in (400, 403)


def test_several_allowed_tenants(client: httpx.Client) -> None:
    line = f"several {time.time_ns()}"
    assert client.post(PUSH, json=body(line), headers=bearer(f"{SECRET}-token", "two")).status_code == 204
    found = client.get(QUERY, params={"query": '{app="a"}'}, auth=GRAFANA, headers={"X-Scope-OrgID": "one|two"})
    assert line in lines(found)


def test_tails_are_guarded(server: LogAggregator, client: httpx.Client) -> None:
    url = f"ws://127.0.0.1:{server.port}/loki/api/v1/tail?query=%7Bapp%3D%22a%22%7D"
    for headers, status in (({}, 401), (bearer(TOKEN), 403), (bearer(f"{SECRET}-token"), 401)):
        with pytest.raises(InvalidStatus) as raised:
            connect(url, additional_headers=headers)
        assert raised.value.response.status_code == status
    assert client.post(PUSH, json=body(), headers=bearer(TOKEN)).status_code == 204
    with connect(url, additional_headers=bearer(f"{SECRET}-token", "one")) as websocket:
        assert "streams" in json.loads(websocket.recv(timeout=20))


def test_bodies_of_strangers_are_not_waited_for(server: LogAggregator) -> None:
    request = f"POST {PUSH} HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(request.encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 401 ")


def test_outages_tell_clients_nothing_of_the_inside() -> None:
    with RedisServer() as redis, LogAggregator(f"-redis.url={redis.url}", "-workers=1") as server:
        redis.kill()
        answers = [
            httpx.post(f"{server.url}{PUSH}", json=body(), timeout=30),
            httpx.get(f"{server.url}{QUERY}", params={"query": '{app="a"}'}, timeout=30),
            httpx.get(f"{server.url}/ring", timeout=30),
        ]
        assert "127.0.0.1" in (server.directory / "server.log").read_text()
    for answer in answers:
        message = "the write-ahead log is not available, try again later"
        assert (answer.status_code, answer.text.rstrip()) == (503, message)


def test_a_renewed_secret_is_taken_in(client: httpx.Client, directory: Path) -> None:
    (directory / "agent").write_text("renewed")
    wait_for(lambda: client.post(PUSH, json=body(), headers=bearer("renewed")).status_code == 204)
    assert client.post(PUSH, json=body(), headers=bearer(TOKEN)).status_code == 401
    (directory / "agent").write_text(TOKEN)
    wait_for(lambda: client.post(PUSH, json=body(), headers=bearer(TOKEN)).status_code == 204)


def test_secrets_are_nowhere_to_be_read(server: LogAggregator, client: httpx.Client) -> None:
    """Not in what is shown, not in what is logged, even where requests with them fail."""
    shown = [client.get(path, auth=OPERATOR).text for path in ("/config", "/metrics", "/services", "/ring", "/")]
    shown += [client.get(f"/config?mode={mode}", auth=OPERATOR).text for mode in ("diffs", "defaults")]
    headers = bearer(f"{SECRET}-token", "one")
    shown.append(client.get(QUERY, params={"query": "{"}, headers=headers).text)
    shown.append(client.post(PUSH, content=b"\xff" * 100, headers=headers).text)
    shown.append(client.get("/nowhere", headers=headers).text)
    shown.append(client.get(LABELS, headers=bearer(f"wrong {SECRET}")).text)
    shown.append((server.directory / "server.log").read_text())
    for secret in (SECRET, PASSWORD, TOKEN, "hello"):
        assert not [text for text in shown if secret in text]
