"""The benchmark's data and queries: the same on every machine.

Three families of lines (JSON, logfmt, nginx), ten streams each, one hour from 2026-01-15T10:00:00Z.
"""

import json
import random
from collections.abc import Iterator
from typing import Any

START_S = 1_768_471_200
SPAN_S = 3600
SECOND_NS = 10**9
FAMILIES = ("json", "logfmt", "nginx")

_LEVELS = ["info"] * 80 + ["warn"] * 12 + ["error"] * 8
_STATUSES = [200] * 85 + [404] * 8 + [500] * 5 + [503] * 2
_PATHS = (
    "/api/v1/users/%d",
    "/api/v1/orders/%d",
    "/static/js/app.%d.js",
    "/healthz",
    "/login",
    "/api/v1/robots/%d/telemetry",
)
_PATTERN = '<ip> - - [<_>] "<method> <path> <_>" <status> <size> <_>'

# By name: the text, and the other parameters. `series` has no text and goes to another route.
QUERIES: dict[str, tuple[str, dict[str, Any]]] = {
    "needle": ('{app="json"} |= "deadbeefdeadbeef"', {"limit": 100}),
    "filter_count": ('sum(count_over_time({app="logfmt"} |= "error" [1m]))', {"step": 60}),
    "regex_count": ('sum(count_over_time({app="json"} |~ "(?i)err[o0]r|status.?50[03]" [1m]))', {"step": 60}),
    "rate_all": ('sum(rate({cluster="c1"}[1m]))', {"step": 60}),
    "json_by_status": ('sum by (status) (count_over_time({app="json"} | json [1m]))', {"step": 60}),
    "json_filter_rate": ('sum by (method) (rate({app="json"} | json | status >= 500 [1m]))', {"step": 60}),
    "logfmt_by_status": ('sum by (status) (count_over_time({app="logfmt"} | logfmt [1m]))', {"step": 60}),
    "pattern_rate": (f'sum by (method, status) (rate({{app="nginx"}} | pattern `{_PATTERN}` [1m]))', {"step": 60}),
    "unwrap_p99": (
        'quantile_over_time(0.99, {app="json"} | json | unwrap duration_ms [1m]) by (method)',
        {"step": 60},
    ),
    "sliding_rate": ('sum by (pod) (rate({app="nginx"} |= "POST" [5m]))', {"step": 15}),
    "bytes_by_pod": ('sum by (pod) (bytes_over_time({cluster="c1"}[5m]))', {"step": 300}),
    "line_format_count": (
        'sum by (m) (count_over_time({app="logfmt"} | logfmt | label_format m=`{{.method}}-{{.level}}` [5m]))',
        {"step": 300},
    ),
    "regex_logs": ('{app="nginx"} |~ " 50[03] "', {"limit": 1000}),
    "tail_logs": ('{app="json"}', {"limit": 1000}),
    "json_logs": (
        '{app="json"} | json | status >= 500 | line_format "{{.method}} {{.path}} {{.status}}"',
        {"limit": 1000},
    ),
    "series": ("", {"match[]": '{cluster="c1"}'}),
}


def lines(family: str, count: int, seed: int = 7) -> Iterator[str]:
    """The lines of one family, spread evenly over the hour."""
    rng = random.Random(f"{family}-{seed}")
    for number in range(count):
        second = number * SPAN_S // count
        clock = f"10:{second // 60:02d}:{second % 60:02d}"
        level, status, duration = rng.choice(_LEVELS), rng.choice(_STATUSES), rng.expovariate(1 / 40)
        path = rng.choice(_PATHS)
        path = path % rng.randrange(10_000) if "%d" in path else path
        method, user, size = rng.choice(("GET", "POST")), rng.randrange(50_000), rng.randrange(100_000)
        stamp = f"2026-01-15T{clock}.{rng.randrange(10**6):06d}Z"
        if family == "json":
            yield json.dumps(
                {
                    "level": level,
                    "ts": stamp,
                    "caller": f"server.go:{rng.randrange(300)}",
                    "msg": "request handled",
                    "method": method,
                    "path": path,
                    "status": status,
                    "duration_ms": round(duration, 3),
                    "user_id": user,
                    "trace_id": f"{rng.getrandbits(128):032x}",
                    "http": {"host": f"api-{rng.randrange(20)}", "bytes": size},
                }
            )
        elif family == "logfmt":
            yield (
                f'level={level} ts={stamp} caller=http.go:{rng.randrange(300)} msg="request completed" '
                f"method={method} path={path} status={status} duration={duration:.3f}ms user={user} "
                f"trace_id={rng.getrandbits(128):032x}"
            )
        else:
            address = ".".join(["10", *(str(rng.randrange(256)) for _ in range(3))])
            yield (
                f'{address} - - [15/Jan/2026:{clock} +0000] "{method} {path} HTTP/1.1" {status} {size} "-" '
                '"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"'
            )


def batches(count: int, size: int = 5000) -> Iterator[list[tuple[dict[str, str], list[tuple[int, str]]]]]:
    """Pushes in the order of time, families interleaved: streams with their entries (nanoseconds, line).

    `count` lines of each family, `size` of them in a push.
    """
    made = {family: lines(family, count) for family in FAMILIES}
    step_ns = SPAN_S * SECOND_NS // count
    for begin in range(0, count, size):
        for family in FAMILIES:
            pods: dict[int, list[tuple[int, str]]] = {}
            for number in range(begin, min(begin + size, count)):
                entry = (START_S * SECOND_NS + number * step_ns, next(made[family]))
                pods.setdefault(number % 10, []).append(entry)
            yield [({"app": family, "pod": f"pod-{pod}", "cluster": "c1"}, entries) for pod, entries in pods.items()]
