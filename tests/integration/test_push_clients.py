"""Logs pushed by real clients, and by requests built as other clients build them, come back by query."""

import gzip
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cramjam
import httpx
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from log_aggregator.formats import push_pb2
from node_packages import installed
from servers import LogAggregator, free_port

CLIENTS = Path(__file__).parent / "clients"
CLIENT_SECONDS = 60.0
POLL_SECONDS = 0.02
SECOND_NS = 1_000_000_000
PUSH = "/loki/api/v1/push"


@dataclass(frozen=True, slots=True)
class Entry:
    """As a query returns it: `labels` are the stream's with all metadata, without what depends on the machine."""

    labels: dict[str, str]
    line: str


@pytest.fixture(scope="module")
def server() -> Iterator[LogAggregator]:
    with LogAggregator() as server:
        yield server


def entries(server: LogAggregator, selector: str) -> list[Entry]:
    """What was acknowledged is visible at once, so there is nothing to wait for."""
    params = {"query": selector, "start": str(time.time_ns() - 3600 * SECOND_NS), "direction": "forward"}
    answer = httpx.get(f"{server.url}/loki/api/v1/query_range", params=params, timeout=30)
    assert answer.status_code == 200, answer.text
    return [
        Entry(stream["stream"], value[1]) for stream in answer.json()["data"]["result"] for value in stream["values"]
    ]


def run(command: list[str], directory: Path) -> None:
    done = subprocess.run(command, cwd=directory, timeout=CLIENT_SECONDS, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def run_python(script: str, *arguments: str) -> None:
    run([sys.executable, "-W", "ignore", script, *arguments], CLIENTS)


# Clients of PyPI


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_opentelemetry_sdk(server: LogAggregator, compression: str) -> None:
    run_python("otlp_exporter.py", server.url, compression)
    (entry,) = entries(server, f'{{service_name="otlp-{compression}", k8s_pod_name="p1"}}')
    assert entry.line == 'otlp says "hëllo"'
    expected = {
        "detected_level": "error",
        "host_name": "h1",
        "scope_name": "shop",
        "severity_number": "17",
        "severity_text": "ERROR",
        "user_id": "7",
    }
    assert entry.labels.items() >= expected.items()
    assert entry.labels["code_function_name"] == "<module>"
    assert abs(int(entry.labels["observed_timestamp"]) - time.time_ns()) < 60 * SECOND_NS


def test_python_logging_loki(server: LogAggregator) -> None:
    run_python("python_logging_loki.py", server.url)
    labels = {
        "job": "python-logging-loki",
        "logger": "shop",
        "severity": "warning",
        "tier": "front",
        "service_name": "python-logging-loki",
        "detected_level": "warn",
    }
    assert entries(server, '{job="python-logging-loki"}') == [Entry(labels, 'python-logging-loki says "hëllo"')]


def test_loki_logger_handler(server: LogAggregator) -> None:
    run_python("loki_logger_handler_gzip.py", server.url)
    (entry,) = entries(server, '{job="loki-logger-handler"}')
    assert json.loads(entry.line)["message"] == 'loki-logger-handler says "hëllo"'
    assert entry.labels.items() >= {"trace": "abc", "detected_level": "info"}.items()


# Clients of npm


@pytest.fixture(scope="module")
def node_clients() -> Path:
    """The scripts beside their installed packages, which are kept for the next run."""
    return installed(CLIENTS)


@pytest.mark.parametrize("form", ["protobuf", "json"])
def test_winston_loki(server: LogAggregator, node_clients: Path, form: str) -> None:
    run(["node", "winston.js", server.url, form], node_clients)
    (entry,) = entries(server, f'{{job="winston-{form}"}}')
    assert entry.line == 'winston says "hëllo" {"level":"error"}'
    assert entry.labels.items() >= {"level": "error", "detected_level": "error"}.items()


def test_pino_loki(server: LogAggregator, node_clients: Path) -> None:
    run(["node", "pino.js", server.url], node_clients)
    (entry,) = entries(server, '{job="pino"}')
    assert json.loads(entry.line)["msg"] == 'pino says "hëllo"'
    assert entry.labels.items() >= {"level": "warning", "trace": "t1", "attempt": "2", "detected_level": "warn"}.items()


# syslog-ng


SYSLOG_NG_CONFIG = """\
@version: 3.38
options {{ stats-freq(0); keep-hostname(yes); }};
source s_tcp {{ network(ip("127.0.0.1") transport("tcp") port({port}) flags(syslog-protocol)); }};
destination d_loki {{
  http(url("{url}/loki/api/v1/push") method("POST") headers("Content-Type: application/json")
    batch-lines(100) batch-timeout(50) workers(1)
    body-prefix('{{"streams":[') delimiter(',') body-suffix(']}}')
    body('{{"stream":$(format-json --scope none job=syslog-ng host=$HOST app=$PROGRAM level=$LEVEL),
      "values":[["${{UNIXTIME}}${{USEC}}000",$(substr "$(format-json --scope none m=$MESSAGE)" 5 -1)]]}}'));
}};
log {{ source(s_tcp); destination(d_loki); }};
"""


@contextmanager
def syslog_ng(url: str, directory: Path) -> Iterator[int]:
    """The port on which it takes syslog over TCP."""
    program, port = shutil.which("syslog-ng"), free_port()
    if program is None:
        pytest.skip("syslog-ng is not installed")
    config = directory / "syslog-ng.conf"
    config.write_text(SYSLOG_NG_CONFIG.format(url=url, port=port))
    files = {
        "cfgfile": config,
        "persist-file": directory / "p",
        "pidfile": directory / "pid",
        "control": directory / "c",
    }
    command = [program, "--foreground", "--no-caps", *(f"--{name}={path}" for name, path in files.items())]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield port
        finally:
            process.terminate()


def send_when_listening(port: int, text: bytes) -> None:
    deadline = time.monotonic() + CLIENT_SECONDS
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                connection.sendall(text)
            return
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, "syslog-ng does not listen"
            time.sleep(POLL_SECONDS)


def test_syslog_ng(server: LogAggregator, tmp_path: Path) -> None:
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    message = f'<14>1 {moment} host1 app1 - - - syslog-ng says "hëllo" \\\n'
    with syslog_ng(server.url, tmp_path) as port:
        send_when_listening(port, message.encode())
        deadline = time.monotonic() + CLIENT_SECONDS
        while not (found := entries(server, '{job="syslog-ng"}')):
            assert time.monotonic() < deadline, "nothing has arrived"
            time.sleep(POLL_SECONDS)
    (entry,) = found
    assert entry.line == 'syslog-ng says "hëllo" \\'
    assert entry.labels.items() >= {"host": "host1", "app": "app1", "level": "info"}.items()


# Requests as clients that cannot be installed here send them


def json_push(job: str, *, labels: dict[str, str] | None = None, metadata: dict[str, str] | None = None) -> bytes:
    value = [str(time.time_ns()), f"{job} says hëllo", *([metadata] if metadata else [])]
    return json.dumps({"streams": [{"stream": {"job": job, **(labels or {})}, "values": [value]}]}).encode()


def protobuf_push(job: str) -> bytes:
    seconds, nanos = divmod(time.time_ns(), SECOND_NS)
    entry = push_pb2.Entry(timestamp=push_pb2.Timestamp(seconds=seconds, nanos=nanos), line=f"{job} says hëllo")
    stream = push_pb2.Stream(labels=f'{{job="{job}"}}', entries=[entry])
    return bytes(cramjam.snappy.compress_raw(push_pb2.PushRequest(streams=[stream]).SerializeToString()))


PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}
GZIP = {"Content-Encoding": "gzip"}

REQUESTS = {
    "promtail": (PROTOBUF | {"User-Agent": "promtail/3.4.1"}, protobuf_push),
    "alloy": (PROTOBUF | {"User-Agent": "Alloy/v1.9.0", "Content-Encoding": "snappy"}, protobuf_push),
    "vector": (PROTOBUF | {"User-Agent": "Vector/0.49.0", "Content-Encoding": "snappy"}, protobuf_push),
    "vector-gzip": (JSON | GZIP | {"User-Agent": "Vector/0.49.0"}, lambda job: gzip.compress(json_push(job))),
    "vector-json": (JSON | {"User-Agent": "Vector/0.49.0"}, json_push),
    "fluent-bit": (JSON | {"User-Agent": "Fluent-Bit"}, json_push),
    "fluent-bit-gzip": (
        JSON | GZIP | {"User-Agent": "Fluent-Bit"},
        lambda job: gzip.compress(json_push(job, metadata={"pod": "p1"})),
    ),
    "fluentd": (JSON | GZIP, lambda job: gzip.compress(json_push(job, labels={"fluentd_thread": "flush_thread_0"}))),
    "logstash": (JSON | {"User-Agent": "loki-logstash"}, json_push),
    "charset": ({"Content-Type": "application/json; charset=utf-8"}, json_push),
}


@pytest.mark.parametrize("client", REQUESTS)
def test_requests_of_other_clients(server: LogAggregator, client: str) -> None:
    headers, body = REQUESTS[client]
    answer = httpx.post(f"{server.url}{PUSH}", content=body(client), headers={**headers, "X-Scope-OrgID": "tenant1"})
    assert (answer.status_code, answer.content) == (204, b"")
    (entry,) = entries(server, f'{{job="{client}"}}')
    assert (entry.line, entry.labels["service_name"]) == (f"{client} says hëllo", client)


def test_chunked_requests(server: LogAggregator) -> None:
    """Vector and some proxies do not announce the length."""
    body = json_push("chunked")
    answer = httpx.post(f"{server.url}{PUSH}", content=iter([body[:20], body[20:]]), headers=JSON)
    assert answer.status_code == 204
    assert [entry.line for entry in entries(server, '{job="chunked"}')] == ["chunked says hëllo"]


@pytest.mark.parametrize("path", ["/otlp/v1/logs", "/v1/logs"])
def test_opentelemetry_collector(server: LogAggregator, path: str) -> None:
    service = f"collector{path.replace('/', '-')}"
    request = ExportLogsServiceRequest()
    logs = request.resource_logs.add()
    logs.resource.attributes.add(key="service.name").value.string_value = service
    record = logs.scope_logs.add().log_records.add(observed_time_unix_nano=time.time_ns(), trace_id=bytes(range(16)))
    record.body.string_value = "collected"
    headers = PROTOBUF | GZIP | {"User-Agent": "OpenTelemetry Collector Contrib/0.130.0 (linux/amd64)"}
    answer = httpx.post(f"{server.url}{path}", content=gzip.compress(request.SerializeToString()), headers=headers)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == "application/x-protobuf"
    (entry,) = entries(server, f'{{service_name="{service}"}}')
    assert (entry.line, entry.labels["trace_id"]) == ("collected", "000102030405060708090a0b0c0d0e0f")


def test_health_check_of_vector(server: LogAggregator) -> None:
    assert httpx.get(f"{server.url}/ready").status_code == 200
