"""A server of a benchmark's own, on a port that is free, and what is asked of it."""

import http.client
import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

_READY_SECONDS = 60
_MEGABYTE = 1 << 20


@dataclass(slots=True)
class Server:
    """The server under load. `answers` counts statuses of the load, not of the quiet tenant."""

    port: int
    pid: int
    answers: Counter[int] = field(default_factory=Counter)

    def ask(self, tenant: str, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        """0 where the connection was closed."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            with suppress(BrokenPipeError, ConnectionResetError):  # it may have answered before it had all
                connection.request(method, path, body, {"X-Scope-OrgID": tenant, **headers})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except OSError:
            return 0, b""
        finally:
            connection.close()

    def push(self, tenant: str, body: bytes, **headers: str) -> int:
        sent = {"Content-Type": "application/json", **headers}
        status, _ = self.ask(tenant, "POST", "/loki/api/v1/push", body, **sent)
        self.answers[status] += 1
        return status

    def query(self, tenant: str, query: str, **parameters: str) -> tuple[int, bytes]:
        now = time.time_ns()
        given = {"query": query, "start": str(now - 3600 * 10**9), "end": str(now), **parameters}
        path = "query" if "time" in given else "query_range"
        status, text = self.ask(tenant, "GET", f"/loki/api/v1/{path}?{urllib.parse.urlencode(given)}")
        self.answers[status] += 1
        return status, text

    def bytes_of(self, name: str) -> int:
        """VmHWM or VmRSS of the process alone: the embedded Redis is another."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name))

    def forget_peak(self) -> None:
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")


@contextmanager
def serving(config: str, memory_mb: int, scratch: Path) -> Iterator[Server]:
    """A server of this configuration that may use so much memory, with its data below `scratch`."""
    (scratch / "config.yml").write_text(config)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "log_aggregator", f"-config.file={scratch / 'config.yml'}"]
    usable = memory_mb * _MEGABYTE

    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_RSS, (usable, usable))  # which the server heeds, not the kernel

    with (scratch / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, f"-server.http-listen-port={port}", f"-common.path-prefix={scratch / 'data'}"],
            stdout=log,
            stderr=log,
            preexec_fn=bounded,
        )
    try:
        deadline = time.monotonic() + _READY_SECONDS
        while Server(port, process.pid).ask("", "GET", "/ready")[0] != 200:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit((scratch / "log").read_text()[-2000:])
            time.sleep(0.05)
        yield Server(port, process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
