"""Servers of a benchmark's own, on ports that are free, and what is asked of them."""

import http.client
import os
import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import client

_READY_SECONDS = 60
_MEGABYTE = 1 << 20


@dataclass(slots=True)
class Server:
    """The server under load. `answers` counts statuses of the load, not of the quiet tenant."""

    port: int
    pid: int
    answers: Counter[int] = field(default_factory=Counter)

    @property
    def target(self) -> client.Target:
        return client.Target(f"http://127.0.0.1:{self.port}", (self.pid,))

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


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def running(logs: Path, *flags: str, prepare: Callable[[], None] | None = None, **environment: str) -> Iterator[Server]:
    """A server with these flags and variables, once it is ready. `prepare` is called in its process before it begins.

    Its log is in the directory `logs`. At the end it is asked to stop, and waited for.
    """
    port = free_port()
    log = logs / f"log.{port}"
    command = [sys.executable, "-m", "log_aggregator", f"-server.http-listen-port={port}", *flags]
    inherited = {**os.environ, **environment}
    # Polars has put its own there when this process imported it; a server says itself how long freed memory is kept.
    inherited.pop("_RJEM_MALLOC_CONF", None)
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=inherited, stdout=out, stderr=out, preexec_fn=prepare)
    try:
        server, deadline = Server(port, process.pid), time.monotonic() + _READY_SECONDS
        while server.ask("", "GET", "/ready")[0] != 200:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the server did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.05)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


@contextmanager
def serving(config: str, memory_mb: int, scratch: Path) -> Iterator[Server]:
    """A server of this configuration that may use so much memory, with its data below `scratch`."""
    (scratch / "config.yml").write_text(config)
    usable = memory_mb * _MEGABYTE

    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_RSS, (usable, usable))  # which the server heeds, not the kernel

    flags = (f"-config.file={scratch / 'config.yml'}", f"-common.path-prefix={scratch / 'data'}")
    with running(scratch, *flags, prepare=bounded) as server:
        yield server
