"""Puts more on a server than it can take, and shows what becomes of its memory and of its other tenants.

    uv run python bench/overload.py                       a server of its own that may use 1 GB; under two minutes
    uv run python bench/overload.py --memory-mb 512       with less
    uv run python bench/overload.py --only queries        one of the loads

For each load: what was answered, the largest resident size of the server's process meanwhile, what it is afterwards,
and how long a push and a query of a tenant that does nothing else took. docs/limits.md explains the bounds.
"""

import argparse
import json
import random
import tempfile
import threading
import time
import urllib.parse
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import client
from own_server import Server, serving

_CONFIG = """
auth_enabled: true
limits_config:
  discover_log_levels: false
  ingestion_rate_mb: 10000
  ingestion_burst_size_mb: 10000
  per_stream_rate_limit: 10GB
  per_stream_rate_limit_burst: 10GB
  max_global_streams_per_user: 0
"""
_SECONDS_OF_LOAD = 8
_PAUSE_SECONDS = 0.05
_MEGABYTE = 1 << 20


class Quiet:
    """A tenant that pushes a line and reads it back, again and again."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.pushes: list[float] = []
        self.queries: list[float] = []
        self.refused = 0

    def __enter__(self) -> "Quiet":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        query = urllib.parse.urlencode({"query": '{job="quiet"}', "limit": "1"})
        while not self._ending.wait(_PAUSE_SECONDS):
            body = pushed({"job": "quiet"}, ["a line"])
            self._timed(self.pushes, "POST", "/loki/api/v1/push", body)
            self._timed(self.queries, "GET", f"/loki/api/v1/query_range?{query}", None)

    def _timed(self, seconds: list[float], method: str, path: str, body: bytes | None) -> None:
        begun = time.perf_counter()
        status, _ = self._server.ask("quiet", method, path, body, **{"Content-Type": "application/json"})
        seconds.append(time.perf_counter() - begun)
        self.refused += status not in (200, 204)


def pushed(labels: dict[str, str], lines: Sequence[str]) -> bytes:
    """A push of one stream, its lines within the last second."""
    now = time.time_ns() - len(lines)
    values = [[str(now + number), line] for number, line in enumerate(lines)]
    return json.dumps({"streams": [{"stream": labels, "values": values}]}).encode()


def _at_once(tasks: Sequence[Callable[[], object]]) -> None:
    threads = [threading.Thread(target=task) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# The loads


def flood(server: Server) -> None:
    """One tenant pushes as fast as eight connections can."""
    body = pushed({"job": "flood", "cluster": "c"}, ["some words of a line " * 5] * 8000)
    ending = time.monotonic() + _SECONDS_OF_LOAD

    def work() -> None:
        while time.monotonic() < ending:
            server.push("flood", body)

    _at_once([work] * 8)


def large_bodies(server: Server) -> None:
    """Many bodies of 20 MB at once."""
    body = pushed({"job": "large", "cluster": "c"}, ["x" * 200] * 90_000)
    _at_once([lambda number=number: server.push(f"large{number % 3}", body) for number in range(24)])  # type: ignore[misc]


def one_body(server: Server) -> None:
    """One push of 100 MB."""
    server.push("one", pushed({"job": "one"}, ["y" * 1000] * 98_000))


def dense_bodies(server: Server) -> None:
    """Bodies that are small until they are decompressed."""
    compressor = zlib.compressobj(9, wbits=31)
    dense = b"".join(compressor.compress(b" " * _MEGABYTE) for _ in range(2000)) + compressor.flush()
    headers = {"Content-Encoding": "gzip"}
    _at_once([lambda: server.push("dense", dense, **headers)] * 8)
    empty = client.body([({"job": "empty"}, [(time.time_ns(), "")] * 60_000)], "protobuf")
    _at_once([lambda: server.push("dense", empty, **{"Content-Type": "application/x-protobuf"})] * 8)


def many_tenants(server: Server) -> None:
    """Three thousand tenants with a line each."""

    def work(first: int) -> None:
        for number in range(first, 3000, 4):
            server.push(f"tenant-{number}", pushed({"job": "a"}, ["a line"]))

    _at_once([lambda first=first: work(first) for first in range(4)])  # type: ignore[misc]


def many_streams(server: Server) -> None:
    """A hundred thousand streams of one tenant, flushed, and asked for."""
    now = time.time_ns()
    for part in range(20):
        streams = [
            {
                "stream": {"cluster": "c", "node": f"n{pod % 100}", "pod": f"pod-{pod:06d}"},
                "values": [[str(now), "a line"]],
            }
            for pod in range(part * 5000, part * 5000 + 5000)
        ]
        server.push("streams", json.dumps({"streams": streams}).encode())
    server.ask("streams", "POST", "/flush")
    for query in (
        '{cluster=~".+"}',
        'sum by (pod) (count_over_time({cluster=~".+"}[5m]))',
        'sum(rate({pod=~".*9"}[5m]))',
    ):
        server.query("streams", query, limit="5000", step="60")
    server.ask("streams", "GET", "/loki/api/v1/series?" + urllib.parse.urlencode({"match[]": '{cluster="c"}'}))


QUERIES = (
    ('{cluster=~".+"}', {"limit": "5000"}),
    ('{cluster=~".+"} | json', {"limit": "5000"}),
    ('sum by (trace_id) (count_over_time({cluster=~".+"} | json [1h]))', {"step": "60"}),
    ('sum by (trace_id) (count_over_time({cluster=~".+"} | json | line_format "{{.trace_id}}" [1h]))', {"time": "now"}),
    ('quantile_over_time(0.99, {cluster=~".+"} | json | unwrap ms [1h])', {"step": "60"}),
    ('quantile_over_time(0.99, {cluster=~".+"} | json | unwrap ms [1h]) by (cluster)', {"time": "now"}),
    ('sum(count_over_time({cluster=~".+"} |~ "(a|b|c|d)*[0-9]+.*(x|y|z)+.*(foo|bar)" [5m]))', {"step": "60"}),
    ('count_over_time({cluster=~".+"} | json [1m])', {"step": "1"}),
)


def queries(server: Server) -> None:
    """Half a million lines with an id each, half of them flushed, and queries that want everything of them."""
    source = random.Random(1)
    for part in range(20):
        lines = [
            f'{{"trace_id":"{source.getrandbits(64):016x}","ms":{source.randrange(10_000)},"msg":"some words"}}'
            for _ in range(25_000)
        ]
        while server.push("queries", pushed({"cluster": "c", "pod": f"p{part}"}, lines)) != 204:
            time.sleep(1)
        if part == 10:
            server.ask("queries", "POST", "/flush")

    def ask(query: str, parameters: dict[str, str]) -> None:
        begun = time.perf_counter()
        given = {**parameters, "time": str(time.time_ns())} if "time" in parameters else parameters
        status, text = server.query("queries", query, **given)
        said = text.decode(errors="replace")[:110].strip() if status != 200 else f"{len(text)} bytes"
        print(f"    {status} {time.perf_counter() - begun:5.1f} s {query[:78]:78s} {said}")

    for query, parameters in QUERIES:
        ask(query, parameters)
    _at_once([lambda query=query: ask(*query) for query in QUERIES[:6]])  # type: ignore[misc]


LOADS = (flood, large_bodies, one_body, dense_bodies, many_tenants, many_streams, queries)


# The table


def _percentile(seconds: Sequence[float], share: float) -> float:
    return sorted(seconds)[min(int(len(seconds) * share), len(seconds) - 1)] * 1000 if seconds else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--memory-mb", type=int, default=1024, help="what the server may use")
    parser.add_argument("--rounds", type=int, default=1, help="how often all loads are put on the same server")
    parser.add_argument("--only", default="", help="names of loads, separated by commas")
    args = parser.parse_args()
    loads = [load for load in LOADS if not args.only or load.__name__ in args.only.split(",")]
    with (
        tempfile.TemporaryDirectory(prefix="log-aggregator-overload-") as scratch,
        serving(_CONFIG, args.memory_mb, Path(scratch)) as server,
    ):
        rows = [_measured(server, load) for _ in range(args.rounds) for load in loads]
    print("\nload          seconds  peak MB  after MB  push p50/p99 ms   query p50/p99 ms  refused  answers")
    print("\n".join(rows))


def _measured(server: Server, load: Callable[[Server], None]) -> str:
    server.answers.clear()
    server.forget_peak()
    begun = time.perf_counter()
    with Quiet(server) as quiet:
        load(server)
    taken = time.perf_counter() - begun
    peak, after = server.bytes_of("VmHWM") / _MEGABYTE, server.bytes_of("VmRSS") / _MEGABYTE
    push, query = ([_percentile(of, share) for share in (0.5, 0.99)] for of in (quiet.pushes, quiet.queries))
    answers = " ".join(f"{status}:{count}" for status, count in sorted(server.answers.items()))
    row = (
        f"{load.__name__:13s} {taken:7.1f} {peak:8.0f} {after:9.0f} {push[0]:8.0f} {push[1]:8.0f} "
        f"{query[0]:9.0f} {query[1]:8.0f} {quiet.refused:8d}  {answers}"
    )
    print(row, flush=True)
    return row


if __name__ == "__main__":
    main()
