"""How much faster a query is when a second replica helps: one process against two, each on a core of its own.

    uv run python bench/fan_out.py --lines 3200000 --rounds 5 --query regex_count

Needs redis-server and Linux. In each round both ways are measured, one after the other, with processes that were just
started and have answered about other lines, a few times: they have their memory, and none of these lines is in their
caches. Only where two cores are free does the time of the answer tell what the second replica brings. CPU time tells
whatever else the machine does: what the detour costs, and how evenly the work was divided (that of one process against
the busier of two: as fast as it can be).
"""

import argparse
import os
import shutil
import subprocess
import tempfile
import urllib.parse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from time import monotonic, perf_counter, sleep

import client
import own_server
import workload

_CONFIG = """
redis: {{url: "redis://127.0.0.1:{port}"}}
common: {{storage: {{filesystem: {{chunks_directory: {data}/chunks}}}}}}
"""
_BATCH = 20_000
_READY_SECONDS = 60
# Two processes divide a query: each has its memory only after several.
_WARMING_QUERIES = 5


@dataclass(frozen=True, slots=True)
class Figures:
    seconds: float
    asker_cpu: float
    worker_cpu: float
    answer: bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=3_200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--query", default="regex_count", help="a query of workload.py about the JSON lines")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="log-aggregator-bench-") as scratch, _redis(Path(scratch)) as config:
        with _replica(config, "all") as target:
            _fill(target, args.lines)
        rounds = [(_measured(config, args.query, 1), _measured(config, args.query, 2)) for _ in range(args.rounds)]
    print("one: ms, cpu ms | two: ms, cpu ms of the asker, of the worker | times as fast, by cpu, cpu more")
    for one, two in rounds:
        if one.answer != two.answer:
            raise SystemExit("the answers differ")
        print(_row(one, two))
    print("median of the times as fast:", round(median(one.seconds / two.seconds for one, two in rounds), 2))
    print("median by cpu:", round(median(one.asker_cpu / max(two.asker_cpu, two.worker_cpu) for one, two in rounds), 2))
    fastest = min(one.seconds for one, _ in rounds) / min(two.seconds for _, two in rounds)
    print("fastest against fastest:", round(fastest, 2))


def _row(one: Figures, two: Figures) -> str:
    more = (two.asker_cpu + two.worker_cpu) / one.asker_cpu - 1
    return (
        f"{one.seconds * 1e3:7.0f} {one.asker_cpu * 1e3:7.0f} | "
        f"{two.seconds * 1e3:7.0f} {two.asker_cpu * 1e3:7.0f} {two.worker_cpu * 1e3:7.0f} | "
        f"{one.seconds / two.seconds:5.2f} {one.asker_cpu / max(two.asker_cpu, two.worker_cpu):5.2f} {more:+6.0%}"
    )


def _measured(config: Path, name: str, processes: int) -> Figures:
    """The first answer of processes that have only answered about other lines, so that they have their memory."""
    with ExitStack() as stack:
        replicas = [stack.enter_context(_replica(config, "read", core)) for core in range(processes)]
        for replica in replicas:
            _await_others(replica, processes - 1)
        for replica in replicas * _WARMING_QUERIES:
            _ask(replica, name, 'app="warm"')
        before = [replica.cpu_seconds() for replica in replicas]
        begun = perf_counter()
        answer = _ask(replicas[0], name, 'app="json"')
        seconds = perf_counter() - begun
        used = [replica.cpu_seconds() - earlier for replica, earlier in zip(replicas, before, strict=True)]
    return Figures(seconds, used[0], sum(used[1:]), answer)


def _await_others(target: client.Target, count: int) -> None:
    """Until the replica knows as many others that work for it."""
    connection, deadline = target.connect(), monotonic() + _READY_SECONDS
    while monotonic() < deadline:
        connection.request("GET", "/metrics")
        if f"\nlog_aggregator_query_workers {count}.0\n".encode() in connection.getresponse().read():
            return
        sleep(0.1)
    raise SystemExit("the replicas do not find each other")


def _ask(target: client.Target, name: str, matcher: str) -> bytes:
    text, more = workload.QUERIES[name]
    params = {
        "query": text.replace('app="json"', matcher),
        "start": workload.START_S * workload.SECOND_NS,
        "end": (workload.START_S + workload.SPAN_S) * workload.SECOND_NS,
        **more,
    }
    connection = target.connect()
    path = f"/loki/api/v1/query_range?{urllib.parse.urlencode(params)}"
    connection.request("GET", path, headers={"Cache-Control": "no-cache"})
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise SystemExit(f"{name}: {answer.status} {body[:300]!r}")
    return body.partition(b'"stats"')[0]


def _fill(target: client.Target, count: int) -> None:
    connection = target.connect()
    step_ns = workload.SPAN_S * workload.SECOND_NS // count
    made = enumerate(workload.lines("json", count))
    while batch := list(islice(made, _BATCH)):
        entries = [(workload.START_S * workload.SECOND_NS + number * step_ns, line) for number, line in batch]
        streams = [({"app": "json", "pod": f"pod-{pod}"}, entries[pod::10]) for pod in range(10)]
        streams.append(({"app": "warm"}, entries[::2]))
        headers = {"Content-Type": "application/x-protobuf"}
        connection.request("POST", "/loki/api/v1/push", client.body(streams, "protobuf"), headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise SystemExit(f"push failed: {answer.status} {text[:300]!r}")
    client.flush(target)


@contextmanager
def _redis(scratch: Path) -> Iterator[Path]:
    """A configuration for replicas that share a Redis and a directory of chunks."""
    program, port = shutil.which("redis-server"), own_server.free_port()
    if program is None:
        raise SystemExit("redis-server is not installed")
    process = subprocess.Popen(
        [program, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(scratch)],
        stdout=subprocess.DEVNULL,
    )
    config = scratch / "config.yml"
    own = (Path(__file__).parent / "bench.yml").read_text()
    config.write_text(own + _CONFIG.format(port=port, data=scratch))
    try:
        yield config
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _replica(config: Path, target: str, core: int = 0) -> Iterator[client.Target]:
    def on_core() -> None:
        os.sched_setaffinity(0, {core})

    flags = (f"-config.file={config}", f"-target={target}", "-workers=1")
    variables = {"TZ": "UTC", "POLARS_MAX_THREADS": "1"}
    with own_server.running(config.parent, *flags, prepare=on_core, **variables) as server:
        yield server.target


if __name__ == "__main__":
    main()
