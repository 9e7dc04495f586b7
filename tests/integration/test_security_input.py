"""Input that means harm: each is refused with a clear answer, none costs the server its memory, time or composure."""

import gzip
import json
import random
import re
import socket
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import cramjam
import httpx
import pytest
import zstandard
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from servers import LogAggregator
from waiting import wait_for

MEBIBYTE = 1 << 20
READ_SECONDS = 2
BOMB_BYTES = 400 * MEBIBYTE
CONFIG = f"""
auth_enabled: true
server:
  http_server_read_timeout: {READ_SECONDS}s
  http_server_write_timeout: 30s
  http_listen_conn_limit: 60
distributor: {{max_recv_msg_size: 4MB, max_decompressed_size: 16MB}}
querier: {{multi_tenant_queries_enabled: true}}
"""
PUSH, QUERY = "/loki/api/v1/push", "/loki/api/v1/query_range"
TENANT = {"X-Scope-OrgID": "one"}


@pytest.fixture(scope="module")
def server() -> Iterator[LogAggregator]:
    with LogAggregator("-workers=1", config=CONFIG) as server:
        yield server


@pytest.fixture
def client(server: LogAggregator) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30, headers=TENANT) as client:
        yield client


@pytest.fixture(autouse=True)
def survives(server: LogAggregator) -> Iterator[None]:
    """Whatever a test does, the server still works, and its log has no traceback of it."""
    before = len(log(server))
    yield
    assert httpx.get(f"{server.url}/ready", timeout=30).status_code == 200
    assert "Traceback" not in log(server)[before:]


def log(server: LogAggregator) -> str:
    return (server.directory / "server.log").read_text()


def resident_bytes(server: LogAggregator) -> int:
    """At its highest since the counter was reset."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM"))


def reset_peak(server: LogAggregator) -> None:
    Path(f"/proc/{server.pid}/clear_refs").write_text("5")


# Bombs


@cache
def gzip_bomb() -> bytes:
    return gzip.compress(bytes(BOMB_BYTES), 9)


@cache
def gzip_members() -> bytes:
    return gzip.compress(bytes(MEBIBYTE), 9) * 400


@cache
def gzip_of_gzips() -> bytes:
    return gzip.compress(gzip_bomb(), 9)


@cache
def zlib_bomb() -> bytes:
    return zlib.compress(bytes(BOMB_BYTES), 9)


@cache
def zstd_bomb() -> bytes:
    return zstandard.compress(bytes(BOMB_BYTES), 19)


@cache
def zstd_frames() -> bytes:
    return zstandard.compress(bytes(MEBIBYTE), 19) * 400


def zstd_window() -> bytes:
    """A frame that asks for a window of 2 GB before its first byte."""
    return b"\x28\xb5\x2f\xfd\x00" + bytes([21 << 3]) + b"\x02\x00\x00\x61"


@cache
def lz4_bomb() -> bytes:
    return bytes(cramjam.lz4.compress(bytes(BOMB_BYTES)))


@cache
def snappy_bomb() -> bytes:
    return bytes(cramjam.snappy.compress_raw(bytes(60 * MEBIBYTE)))


def snappy_lie() -> bytes:
    """Announces four gigabytes."""
    return b"\xff\xff\xff\xff\x0f" + b"\x00a" * 10


BOMBS: list[tuple[str, Callable[[], bytes]]] = [
    ("gzip", gzip_bomb),
    ("gzip", gzip_members),
    ("gzip", gzip_of_gzips),
    ("deflate", zlib_bomb),
    ("zstd", zstd_bomb),
    ("zstd", zstd_frames),
    ("zstd", zstd_window),
    ("lz4", lz4_bomb),
    ("snappy", snappy_bomb),
    ("snappy", snappy_lie),
    ("", snappy_bomb),
]


@pytest.mark.parametrize("content_type", ["application/json", "application/x-protobuf"])
@pytest.mark.parametrize(("encoding", "bomb"), BOMBS, ids=[f"{name}-{bomb.__name__}" for name, bomb in BOMBS])
@pytest.mark.parametrize("path", [PUSH, "/otlp/v1/logs"])
def test_bombs_are_refused_in_bounded_memory(
    server: LogAggregator,
    client: httpx.Client,
    path: str,
    content_type: str,
    encoding: str,
    bomb: Callable[[], bytes],
) -> None:
    body = bomb()
    reset_peak(server)
    before = resident_bytes(server)
    answer = client.post(path, content=body, headers={"Content-Encoding": encoding, "Content-Type": content_type})
    assert answer.status_code in (400, 413), answer.text
    assert len(answer.text) < 500
    assert resident_bytes(server) - before < 80 * MEBIBYTE


def test_many_bombs_at_once(server: LogAggregator) -> None:
    """As many as the server lets in together cost as much as a few."""
    body = zlib.compress(b" " * (15 * MEBIBYTE) + b"{", 9)
    head = (
        f"POST {PUSH} HTTP/1.1\r\nHost: a\r\nX-Scope-OrgID: one\r\nContent-Type: application/json\r\n"
        f"Content-Encoding: deflate\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    reset_peak(server)
    before = resident_bytes(server)
    connections = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(40)]
    try:
        for connection in connections:
            connection.sendall(head + body)
        statuses = [connection.recv(65536).split(b" ")[1] for connection in connections]
    finally:
        for connection in connections:
            connection.close()
    assert set(statuses) <= {b"400", b"413"}
    assert resident_bytes(server) - before < 300 * MEBIBYTE


# Sizes and counts


def push_of(labels: object, *entry: object) -> object:
    return {"streams": [{"stream": labels, "values": [entry or [str(time.time_ns()), "line"]]}]}


def nested(depth: int, opening: str = "[", closing: str = "]") -> bytes:
    return (opening * depth + closing * depth).encode()


NOW = str(time.time_ns())
PUSHES: dict[str, object] = {
    "many labels": push_of({f"label_{number}": "x" for number in range(50_000)}),
    "long label name": push_of({"x" * 100_000: "x"}),
    "long label value": push_of({"a": "x" * 1_000_000}),
    "long line": push_of({"a": "b"}, NOW, "x" * (257 << 10)),
    "long metadata": push_of({"a": "b"}, NOW, "x", {"m": "x" * (65 << 10)}),
    "many metadata": push_of({"a": "b"}, NOW, "x", {f"m{number}": "x" for number in range(20_000)}),
    "long timestamp": push_of({"a": "b"}, "9" * 100_000, "x"),
    "timestamp of other digits": push_of({"a": "b"}, "\u0663" * 19, "x"),
    "labels of labels": push_of({"a": {"b": "c"}}, "x"),
    "no list": {"streams": 1},
    "nothing": {},
    "deep list": nested(100_000),
    "deep labels": b'{"streams":[{"stream":{"a":' + nested(100_000) + b'},"values":[]}]}',
    "deep objects": nested(100_000, '{"a":', "}"),
    "no text": b'{"streams":[{"stream":{"\xff":"\xff"},"values":[["1","\xed\xa0\x80"]]}]}',
    "surrogates": rb'{"streams":[{"stream":{"a":"\ud800"},"values":[["1","\udfff"]]}]}',
    "large numbers": b'{"streams":[{"stream":{"a":' + b"9" * 100_000 + b'},"values":[]}]}',
    "brackets in labels": push_of({'a="b",c': "d"}),
    "zero": b"\0" * 1000,
}


EMPTY = ("no text", "large numbers", "brackets in labels")


@pytest.mark.parametrize("name", PUSHES)
@pytest.mark.parametrize("path", [PUSH, "/api/prom/push", "/otlp/v1/logs"])
def test_hostile_pushes_are_refused(client: httpx.Client, path: str, name: str) -> None:
    body = PUSHES[name]
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = client.post(path, content=content, headers={"Content-Type": "application/json"})
    # The older JSON knows none of these keys, and what has no key or entry that is known holds nothing.
    is_empty = answer.status_code == 204 and (path == "/api/prom/push" or name in EMPTY)
    assert answer.status_code in (200, 400, 413, 422) or is_empty
    assert len(answer.text) < 40_000


def test_deep_values_of_otlp_are_refused(client: httpx.Client) -> None:
    deep = b'{"arrayValue":{"values":[' * 5000 + b'{"intValue":1}' + b"]}}" * 5000
    records = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":' + deep + b"}]}]}]}"
    answer = client.post("/otlp/v1/logs", content=records, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    value = b"\x0a\x00"
    for _ in range(2000):
        for tag in (b"\x0a", b"\x2a"):
            value = tag + varint(len(value)) + value
    record = b"\x2a" + varint(len(value)) + value
    for tag in (b"\x12", b"\x12", b"\x0a"):
        record = tag + varint(len(record)) + record
    answer = client.post("/otlp/v1/logs", content=record, headers={"Content-Type": "application/x-protobuf"})
    assert answer.status_code == 400


def varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    return bytes([*encoded, number])


QUERIES = {  # of a stream that has entries
    "parentheses": "(" * 20_000 + '{a="b"}' + ")" * 20_000,
    "parentheses of filters": '{a="b"} | ' + "(" * 20_000 + 'x="y"' + ")" * 20_000,
    "open parentheses": "(" * 50_000,
    "braces": "{" * 50_000,
    "quotes in a selector": "{" + '""' * 200,
    "sums": "sum(" * 5_000 + 'rate({a="b"}[1m])' + ")" * 5_000,
    "operators": " + ".join(['rate({a="b"}[1m])'] * 5_000),
    "unary": "-" * 20_000 + "1",
    "stages": '{a="b"}' + ' |= "x"' * 6_000,
    "some stages": '{a="b"}' + ' |= "x"' * 250,
    "operands": '{a="b"} |= "x"' + ' or "y"' * 6_000,
    "json stages": '{a="b"}' + " | json" * 6_000,
    "long regex": '{a=~"' + "x" * 60_000 + '"}',
    "repeated regex": '{a=~"((a{1000}){1000}){1000}"}',
    "large repetition": '{a="b"} |~ "(x{1000}){10}"',
    "many alternatives": '{a="b"} |~ "' + "|".join(f"(?i)[a-z]{number}" for number in range(5_000)) + '"',
    "nested groups": '{a="b"} |~ "' + "(" * 10_000 + "x" + ")" * 10_000 + '"',
    "many regexes": '{a="b"}' + "".join(f' |~ "(a|b|c){{500}}[x-z]+{number}"' for number in range(500)),
    "quadratic regex": '{a="b"} |~ "(a*)*(a*)*(a*)*b"',
    "nested template": '{a="b"} | line_format "' + "{{if .a}}" * 5_000 + '"',
    "template of parentheses": '{a="b"} | line_format "{{' + "(" * 20_000 + '}}"',
    "long template": '{a="b"} | line_format "{{ repeat 100000000 .a }}"',
    "long number": "1" * 60_000,
    "huge power": "2 ^ 2 ^ 2 ^ 2 ^ 2 ^ 2 ^ 2 ^ 99999999",
    "huge range": 'rate({a="b"}[99999999999999y])',
    "matchers": "{" + ",".join(f'l{number}="x"' for number in range(5_000)) + "}",
    "null": '{a="\\x00"}\0',
    "pattern": '{a="b"} | pattern "' + "<a>" * 10_000 + '"',
    "comments": "#" * 60_000,
}


@pytest.mark.parametrize("name", QUERIES)
def test_hostile_queries_are_refused_or_answered_soon(client: httpx.Client, name: str) -> None:
    assert client.post(PUSH, json=push_of({"a": "b"})).status_code == 204
    begun = time.monotonic()
    answer = client.post(QUERY, data={"query": QUERIES[name]})
    assert answer.status_code in (200, 400, 422, 413), answer.text[:300]
    assert len(answer.text) < 130_000
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize(
    ("parameters", "statuses"),
    [
        ({"start": "9" * 10_000}, {400}),
        ({"start": "1e400"}, {400}),
        ({"end": "9999-12-31T23:59:59.9999999999Z"}, {200, 400}),
        ({"start": "0001-01-01T00:00:00Z"}, {200, 400}),
        ({"step": "1e-300"}, {400}),
        ({"step": "0.000000001"}, {200, 400}),
        ({"limit": "-1"}, {400}),
        ({"limit": "9" * 5000}, {400}),
        ({"limit": "\u0663"}, {200, 400}),
        ({"interval": "9" * 400 + "y"}, {400}),
        ({"direction": "x" * 10_000}, {400}),
        ({"cursor": "x" * 10_000}, {400}),
        ({"start": "\x00\ud7ff\u202e"}, {400}),
    ],
)
def test_hostile_parameters(client: httpx.Client, parameters: dict[str, str], statuses: set[int]) -> None:
    for query in ('{a="b"}', 'rate({a="b"}[1m])'):
        answer = client.post(QUERY, data={"query": query, **parameters})
        assert answer.status_code in statuses | ({200} if "cursor" in parameters or "interval" in parameters else set())


def test_forms_have_bounds(client: httpx.Client) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    many = client.post(QUERY, content="&".join(f"a{number}=b" for number in range(20_000)), headers=form)
    assert (many.status_code, many.text.partition("\n")[0]) == (400, "a form may have 10000 fields")
    assert client.post(QUERY, content=b"query=%ff%fe\xff&\xff=%", headers=form).status_code == 400
    assert client.post(QUERY, content=b"x=" + b"y" * (5 * MEBIBYTE), headers=form).status_code == 413


# Raw HTTP


def talk(server: LogAggregator, data: bytes, *, end: bool = True) -> bytes:
    """What the server answers until it closes the connection, or is silent after having answered."""
    answer = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        try:
            connection.sendall(data)
            if end:
                connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65536):
                answer += piece
                if not end:
                    break
        except (ConnectionError, TimeoutError):
            pass
    return answer


def head(*lines: str, path: str = PUSH) -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: a", "X-Scope-OrgID: one", *lines, "", ""]).encode("latin-1")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /ready HTTP/1.1\r\n" + b"X: " + b"x" * 100_000 + b"\r\n\r\n", 400),
        (b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n", 400),
        (b"GET /ready HTTP/1.1\r\n" + b"".join(b"X-%d: x\r\n" % n for n in range(20_000)) + b"\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"GET // HTTP/9.9\r\n\r\n", 400),
        (b"GET\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"GET /\xff\xfe HTTP/1.1\r\n\r\n", 400),
        (head("Content-Length: -1"), 400),
        (head("Content-Length: x"), 400),
        (head("Content-Length: 1_0"), 400),
        (head(f"Content-Length: {10**30}"), 413),
        (head("Content-Length: 5000000") + b"x" * 1000, 413),
        (head("Transfer-Encoding: chunked") + b"zz\r\n\r\n", 400),
        (head("Transfer-Encoding: chunked") + b"-5\r\nx\r\n", 400),
        (head("Transfer-Encoding: chunked") + b"ffffffffffffffff\r\nx\r\n", 413),
        (head("Transfer-Encoding: chunked") + b"x" * 1000, 400),
        (head("Transfer-Encoding: chunked") + b"0\r\nX: y\r\n\r\n", 400),
        (head("Content-Type: \xff", "Content-Encoding: \xff", "Content-Length: 1") + b"x", 400),
        (head("Expect: 200-maybe", "Content-Length: 1") + b"x", 417),
        (b"POST /loki/api/v1/push HTTP/1.1\r\nX-Scope-OrgID: \xff\xfe\r\nContent-Length: 0\r\n\r\n", 400),
        (b"GET /loki/api/v1/labels HTTP/1.1\r\nX-Scope-OrgID: a/../b\r\n\r\n", 400),
        (b"GET /loki/api/v1/label/%ff%00%2f..%2f/values HTTP/1.1\r\nX-Scope-OrgID: a\r\n\r\n", 200),
        (b"GET /loki/api/v1/labels?query=%ff HTTP/1.1\r\nX-Scope-OrgID: a\r\n\r\n", 400),
        (head("Content-Length: 4", "Transfer-Encoding: chunked") + b"0\r\n\r\n", 400),
        (head("Content-Length: 0", "Content-Length: 5") + b"GET /", 400),
        (head("Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n", 400),
        (head("Transfer-Encoding : chunked") + b"0\r\n\r\n", 400),
        (head("X-Scope-OrgID: two", "Content-Length: 0"), 400),
        (b"GET /../../etc/passwd HTTP/1.1\r\n\r\n", 301),  # to /etc/passwd, which is unknown
        (b"GET /etc/passwd HTTP/1.1\r\n\r\n", 404),
        (b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\n\r\n", 301),
    ],
)
def test_broken_http_is_refused(server: LogAggregator, data: bytes, status: int) -> None:
    answer = talk(server, data, end=False)
    assert answer[:13].decode("latin-1").split(" ")[1:2] == [str(status)], answer[:300]
    assert answer.count(b"\r\nDate: ") == 1


def test_garbage_of_all_kinds(server: LogAggregator) -> None:
    """Only that nothing breaks: see `survives`."""
    dice = random.Random(1)
    whole = head("Content-Length: 10", "Content-Type: application/json") + b'{"streams"'
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(dice.randint(0, 8)):
            place = dice.randrange(len(data))
            data[place : place + dice.randint(0, 3)] = dice.randbytes(dice.randint(0, 5))
        answer = talk(server, bytes(data[: dice.randint(1, len(data))]))
        assert b" 500 " not in answer[:20], (data, answer)
    for _ in range(100):
        assert b" 500 " not in talk(server, dice.randbytes(dice.randint(1, 3000)) + b"\r\n\r\n")[:20]


def test_slow_senders_are_given_up(server: LogAggregator) -> None:
    """Each sends a byte now and then, the one of a head, the other of a body."""
    for data, status in ((b"GET /ready HTTP/1.1\r\nX: ", b"408"), (head("Content-Length: 1000"), b"408")):
        with socket.create_connection(("127.0.0.1", server.port), timeout=0.2) as connection:
            connection.sendall(data)
            begun, answer = time.monotonic(), b""
            while not answer:
                assert time.monotonic() - begun < READ_SECONDS * 3
                try:
                    connection.sendall(b"x")
                    answer = connection.recv(65536)
                except TimeoutError:
                    continue
            assert answer.split(b" ")[1] == status


def test_connections_have_a_limit(server: LogAggregator) -> None:
    def count() -> int:
        return len(list(Path(f"/proc/{server.pid}/fd").iterdir()))

    idle = count()
    connections = []
    try:
        for _ in range(70):
            connections.append(socket.create_connection(("127.0.0.1", server.port), timeout=10))
        last = connections[-1]
        last.sendall(b"GET /ready HTTP/1.1\r\n\r\n")
        answer = last.recv(65536)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 1" in answer
        assert re.search(rb"\r\nDate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n", answer)
    finally:
        for connection in connections:
            connection.close()
    wait_for(lambda: count() <= idle + 5)


def say_too_much(websocket: ClientConnection) -> None:
    websocket.send("x" * (200 << 10))
    while True:
        websocket.recv(timeout=10)


def test_websocket_clients_have_nothing_to_say(server: LogAggregator) -> None:
    url = f"ws://127.0.0.1:{server.port}/loki/api/v1/tail?query=%7Ba%3D%22b%22%7D"
    with connect(url, additional_headers=TENANT) as websocket:
        with pytest.raises(ConnectionClosed) as raised:
            say_too_much(websocket)
        assert raised.value.rcvd is not None
        assert raised.value.rcvd.code == 1009
    for frame in (b"\xff" * 20, struct.pack("!BBQ", 0x82, 0xFF, 1 << 62) + b"mask"):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            connection.sendall(
                b"GET /loki/api/v1/tail?query=%7Ba%3D%22b%22%7D HTTP/1.1\r\nHost: a\r\nX-Scope-OrgID: one\r\n"
                b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            )
            assert connection.recv(65536).startswith(b"HTTP/1.1 101")
            connection.sendall(frame)
            while connection.recv(65536):
                pass
