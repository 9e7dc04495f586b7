"""Pushes the workload to a server and asks it the queries, with the CPU time that the server's processes take."""

import http.client
import json
import os
import threading
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cramjam
import workload

from log_aggregator.formats import push_pb2

Figures = dict[str, float]
Encoding = Literal["protobuf", "json"]
Stream = tuple[dict[str, str], list[tuple[int, str]]]


@dataclass(frozen=True, slots=True)
class Target:
    """A server, and the processes that serve; their descendants count too. Without any, CPU time is 0."""

    url: str
    pids: tuple[int, ...] = ()

    def connect(self) -> http.client.HTTPConnection:
        parts = urllib.parse.urlsplit(self.url)
        return http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=600)

    def cpu_seconds(self) -> float:
        """User and system time of the processes and all their descendants, living or reaped."""
        parents: dict[int, int] = {}
        times: dict[int, float] = {}
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/stat") as file:
                    fields = file.read().rsplit(")", 1)[1].split()
            except OSError:
                continue
            parents[int(name)] = int(fields[1])
            times[int(name)] = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
        return sum(taken for pid, taken in times.items() if self._serves(pid, parents))

    def peak_bytes(self) -> int:
        """The largest resident size so far, summed over the processes."""
        total = 0
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/status") as file:
                    lines = dict(line.split(":", 1) for line in file if ":" in line)
            except OSError:
                continue
            if self._serves(int(name), {int(name): int(lines["PPid"])}):
                total += int(lines.get("VmHWM", "0 kB").split()[0]) * 1024
        return total

    def _serves(self, pid: int, parents: dict[int, int]) -> bool:
        while pid:
            if pid in self.pids:
                return True
            pid = parents.get(pid, 0)
        return False


def push(
    target: Target,
    count: int,
    encoding: Encoding,
    *,
    size: int = 5000,
    connections: int = 4,
    settle_seconds: float = 3.0,
) -> Figures:
    """`count` lines of each family, `size` in a push.

    Waits a little, so that what the server does behind the answers counts.
    """
    bodies = [
        (body(streams, encoding), sum(len(entries) for _, entries in streams))
        for streams in workload.batches(count, size)
    ]
    raw_bytes = sum(len(line) for family in workload.FAMILIES for line in workload.lines(family, count))
    lines = sum(number for _, number in bodies)
    waiting, lock, latencies, failed = iter(bodies), threading.Lock(), [], []

    def work() -> None:
        connection = target.connect()
        while True:
            with lock:
                item = next(waiting, None)
            if item is None:
                return
            begun = time.perf_counter()
            connection.request("POST", "/loki/api/v1/push", item[0], {"Content-Type": _CONTENT_TYPES[encoding]})
            answer = connection.getresponse()
            text = answer.read()
            latencies.append(time.perf_counter() - begun)
            if answer.status >= 300:
                failed.append(f"{answer.status} {text[:200]!r}")

    cpu, begun = target.cpu_seconds(), time.perf_counter()
    threads = [threading.Thread(target=work) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall = time.perf_counter() - begun
    time.sleep(settle_seconds)
    used = target.cpu_seconds() - cpu
    if failed:
        raise SystemExit(f"{len(failed)} of {len(bodies)} pushes failed, the first: {failed[0]}")
    latencies.sort()
    return {
        "lines": lines,
        "wall_s": wall,
        "lines_per_s": lines / wall,
        "mb_per_s": raw_bytes / 1e6 / wall,
        "cpu_us_per_line": used / lines * 1e6,
        "cpu_us_per_push": used / len(bodies) * 1e6,
        "p50_ms": latencies[len(latencies) // 2] * 1e3,
        "p99_ms": latencies[int(len(latencies) * 0.99)] * 1e3,
    }


def query(target: Target, names: Sequence[str], repeat: int) -> dict[str, Figures]:
    """By name the median time, the median CPU time, the first time and the size of the answer."""
    connection = target.connect()
    return {name: _ask(target, connection, name, repeat) for name in names}


def flush(target: Target) -> None:
    """Everything pushed so far into the object store."""
    connection = target.connect()
    connection.request("POST", "/flush")
    answer = connection.getresponse()
    answer.read()
    if answer.status >= 300:
        raise SystemExit(f"flush failed: {answer.status}")


def _ask(target: Target, connection: http.client.HTTPConnection, name: str, repeat: int) -> Figures:
    text, more = {**workload.QUERIES, **workload.MORE_QUERIES}[name]
    params: dict[str, Any] = {
        "start": workload.START_S * workload.SECOND_NS,
        "end": (workload.START_S + workload.SPAN_S) * workload.SECOND_NS,
        **more,
    }
    if text:
        params["query"] = text
    path = "/loki/api/v1/query_range" if text else "/loki/api/v1/series"
    try:
        return timed(target, connection, f"{path}?{urllib.parse.urlencode(params)}", repeat)
    except Unanswered as error:
        raise SystemExit(f"{name}: {error}") from error


class Unanswered(Exception):
    """Another status than 200, or none."""


def timed(target: Target, connection: http.client.HTTPConnection, path: str, repeat: int) -> Figures:
    """The first and the median time of so many answers, their median CPU time and their size. Raises Unanswered."""
    walls, cpus, size = [], [], 0
    for _ in range(repeat):
        cpu, begun = target.cpu_seconds(), time.perf_counter()
        try:
            connection.request("GET", path, headers={"Cache-Control": "no-cache"})
            answer = connection.getresponse()
            body = answer.read()
        except (http.client.HTTPException, ConnectionError) as error:
            raise Unanswered(repr(error)) from error
        walls.append((time.perf_counter() - begun) * 1e3)
        cpus.append(target.cpu_seconds() - cpu)
        size = len(body)
        if answer.status != 200:
            raise Unanswered(f"{answer.status} {body[:300]!r}")
    return {
        "first_ms": walls[0],
        "ms": sorted(walls)[repeat // 2],
        "cpu_s": sorted(cpus)[repeat // 2],
        "bytes": size,
    }


_CONTENT_TYPES = {"protobuf": "application/x-protobuf", "json": "application/json"}


def body(streams: Sequence[Stream], encoding: Encoding) -> bytes:
    if encoding == "json":
        values = [
            {"stream": labels, "values": [[str(ns), line] for ns, line in entries]} for labels, entries in streams
        ]
        return json.dumps({"streams": values}).encode()
    request = push_pb2.PushRequest(streams=[_message(labels, entries) for labels, entries in streams])
    return bytes(cramjam.snappy.compress_raw(request.SerializeToString()))


def _message(labels: dict[str, str], entries: Sequence[tuple[int, str]]) -> push_pb2.Stream:
    text = "{" + ", ".join(f'{name}="{value}"' for name, value in labels.items()) + "}"
    return push_pb2.Stream(labels=text, entries=list(_entries(entries)))


def _entries(entries: Sequence[tuple[int, str]]) -> Iterator[push_pb2.Entry]:
    for ns, line in entries:
        seconds, nanos = divmod(ns, workload.SECOND_NS)
        yield push_pb2.Entry(timestamp=push_pb2.Timestamp(seconds=seconds, nanos=nanos), line=line)
