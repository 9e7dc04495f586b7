"""A day of many streams: 5,000 pods of 200 services in 20 namespaces, which write JSON, logfmt, klog or access logs.

    uv run python bench/pods.py                         this tree: push, flush, queries
    uv run python bench/pods.py --url URL --pid PID     a server that runs already, with its processes

Figures are as those of `bench.py run`, so that `bench.py compare` puts two of them side by side. A query that is not
answered with 200, or not within the server's time, has no figures.
"""

import argparse
import json
import random
import tempfile
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import client
import own_server
from workload import BOTH, SECOND_NS, START_S

_DAY_S = 24 * 3600
_SERVICES, _PODS_OF_SERVICE, _NAMESPACES = 200, 25, 20
_STREAMS_OF_PUSH = 60
_FORMATS = ("json", "logfmt", "access", "klog")
_PATHS = ("/api/v1/orders", "/api/v1/users", "/healthz", "/metrics", "/login", "/cart", "/static/app.js")
_ALL = '{namespace=~".+"}'

# Of the whole day; metric queries in steps of five minutes.
QUERIES = {
    "rate_of_all": f"sum by (namespace) (rate({_ALL}[5m]))",
    "bytes_of_all": f"sum by (namespace) (bytes_over_time({_ALL}[1h]))",
    "filter_of_all": f'sum by (app) (count_over_time({_ALL} |= "error" [5m]))',
    "needle_of_all": f'{_ALL} |= "00000000deadbeef00000000deadbeef"',
    "levels_of_half": f'sum by (level) (count_over_time({{app=~"svc-0.*"}} {BOTH} [5m]))',
    "statuses_of_half": f'sum by (status) (count_over_time({{app=~"svc-.*[159]"}} {BOTH} | status!="" [5m]))',
    "errors_of_json": 'sum by (app) (rate({namespace=~"team-0.*"} | json | level="error" [5m]))',
    "p99_of_json": 'quantile_over_time(0.99, {app=~"svc-.*[048]"} | json | unwrap duration_ms [5m]) by (namespace)',
    "rate_of_service": 'sum(rate({app="svc-007"}[5m]))',
    "pods_of_namespace": 'sum by (pod) (count_over_time({namespace="team-03"}[15m]))',
    "p99_of_service": 'quantile_over_time(0.99, {app="svc-004"} | json | unwrap duration_ms [5m]) by (app)',
    "logs_of_all": _ALL,
    "logs_of_service": '{app="svc-011"}',
    "logs_of_pod": '{pod=~".*-0000.*"}',
    "errors_of_namespace": '{namespace="team-04"} | json | level="error" | status>=500',
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="a server that runs already")
    parser.add_argument("--pid", type=int, action="append", default=[], help="a process of it, its main one first")
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=1000, help="lines in a push")
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    if args.url:
        result = _measured(client.Target(args.url, tuple(args.pid)), args)
    else:
        with tempfile.TemporaryDirectory(prefix="log-aggregator-bench-") as scratch:
            config = f"-config.file={Path(__file__).parent / 'bench.yml'}"
            with own_server.running(Path(scratch), config, LOG_AGGREGATOR_DATA=f"{scratch}/data") as server:
                result = _measured(server.target, args)
    print(json.dumps(result, indent=1))


def _measured(target: client.Target, args: argparse.Namespace) -> dict[str, Any]:
    cpu, connection = target.cpu_seconds(), target.connect()
    for streams in _batches(args.lines, args.size):
        sent = client.body(streams, "protobuf")
        connection.request("POST", "/loki/api/v1/push", sent, {"Content-Type": "application/x-protobuf"})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise SystemExit(f"a push failed: {answer.status} {text[:300]!r}")
    client.flush(target)
    pushed = {"cpu_us_per_line": (target.cpu_seconds() - cpu) / args.lines * 1e6}
    found = {name: _asked(target, text, args.repeat) for name, text in QUERIES.items()}
    answered = {name: figures for name, figures in found.items() if figures}
    return {"push": pushed, "query": answered, "peak_bytes": target.peak_bytes()}


def _asked(target: client.Target, query: str, repeat: int) -> client.Figures | None:
    is_metric = "(" in query.partition("{")[0]
    params = {"query": query, "start": (START_S - _DAY_S) * SECOND_NS, "end": START_S * SECOND_NS}
    params |= {"step": 300} if is_metric else {"limit": 1000}
    path = f"/loki/api/v1/query_range?{urllib.parse.urlencode(params)}"
    try:
        return client.timed(target, target.connect(), path, repeat)
    except client.Unanswered:
        return None


def _batches(lines: int, size: int) -> Iterator[list[client.Stream]]:
    """Of a few streams each, some of which write far more than others; in the order of time."""
    rng = random.Random(7)
    pods = list(_pods(rng))
    rng.shuffle(pods)
    weights = [1 / (place + 1) ** 0.6 for place in range(len(pods))]
    for first in range(0, lines, size):
        chosen = rng.choices(pods, weights, k=_STREAMS_OF_PUSH)
        entries: dict[int, list[tuple[int, str]]] = {}
        for number in range(first, min(first + size, lines)):
            place = number % _STREAMS_OF_PUSH
            time_ns = (START_S - _DAY_S) * SECOND_NS + number * _DAY_S * SECOND_NS // lines
            entries.setdefault(place, []).append((time_ns, _line(rng, chosen[place][1], time_ns)))
        yield [(chosen[place][0], own) for place, own in entries.items()]


def _pods(rng: random.Random) -> Iterator[tuple[dict[str, str], str]]:
    """Labels and format."""
    for service in range(_SERVICES):
        app = f"svc-{service:03d}"
        for number in range(_PODS_OF_SERVICE):
            labels = {
                "namespace": f"team-{service % _NAMESPACES:02d}",
                "app": app,
                "pod": f"{app}-{rng.randrange(16**8):08x}-{rng.randrange(16**5):05x}",
                "container": "main" if number % 5 else "sidecar",
                "node": f"node-{rng.randrange(40):02d}",
                "stream": "stdout" if number % 7 else "stderr",
            }
            yield labels, _FORMATS[service % len(_FORMATS)]


def _line(rng: random.Random, form: str, time_ns: int) -> str:
    (level,) = rng.choices(("info", "warn", "error", "debug"), (70, 10, 5, 15))
    (status,) = rng.choices((200, 201, 304, 404, 500, 503), (70, 8, 8, 8, 4, 2))
    path, duration, trace = rng.choice(_PATHS), round(rng.lognormvariate(3, 1), 3), f"{rng.getrandbits(128):032x}"
    match form:
        case "json":
            user = {"id": rng.randrange(50_000), "plan": rng.choice(("free", "pro"))}
            members = {"level": level, "msg": "request handled", "path": path, "status": status}
            return json.dumps({**members, "duration_ms": duration, "trace_id": trace, "user": user})
        case "logfmt":
            said = f'ts={time_ns} level={level} msg="handled request" path={path}'
            return f"{said} status={status} duration={duration}ms trace_id={trace}"
        case "klog":
            thing = f"{rng.choice(('default', 'prod'))}/x-{rng.randrange(500)}"
            head = f"{level[0].upper()}0115 10:00:00.{rng.randrange(10**6):06d} 1 controller.go:{rng.randrange(900)}]"
            return f'{head} "Reconciled" object="{thing}" requeue={rng.choice(("true", "false"))}'
        case _:
            address = ".".join(str(rng.randrange(255)) for _ in range(3))
            request = f'"GET {path} HTTP/1.1" {status} {rng.randrange(40_000)}'
            return f'10.{address} - - [15/Jan/2026:10:00:00 +0000] {request} "-" "curl/8.1"'


if __name__ == "__main__":
    main()
