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
PATTERN = '<ip> - - [<_>] "<method> <path> <_>" <status> <size> <_>'

# By name: the text, and the other parameters. `series` has no text and goes to another route.
QUERIES: dict[str, tuple[str, dict[str, Any]]] = {
    "needle": ('{app="json"} |= "deadbeefdeadbeef"', {"limit": 100}),
    "filter_count": ('sum(count_over_time({app="logfmt"} |= "error" [1m]))', {"step": 60}),
    "regex_count": ('sum(count_over_time({app="json"} |~ "(?i)err[o0]r|status.?50[03]" [1m]))', {"step": 60}),
    "rate_all": ('sum(rate({cluster="c1"}[1m]))', {"step": 60}),
    "json_by_status": ('sum by (status) (count_over_time({app="json"} | json [1m]))', {"step": 60}),
    "json_filter_rate": ('sum by (method) (rate({app="json"} | json | status >= 500 [1m]))', {"step": 60}),
    "logfmt_by_status": ('sum by (status) (count_over_time({app="logfmt"} | logfmt [1m]))', {"step": 60}),
    "pattern_rate": (f'sum by (method, status) (rate({{app="nginx"}} | pattern `{PATTERN}` [1m]))', {"step": 60}),
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


_J, _L, _N, _ALL = '{app="json"}', '{app="logfmt"}', '{app="nginx"}', '{cluster="c1"}'
BOTH = "| json | logfmt | drop __error__, __error_details__"  # as Grafana's Drilldown asks
_MINUTES: dict[str, Any] = {"step": 60}
_COARSE: dict[str, Any] = {"step": 300}
_LINES: dict[str, Any] = {"limit": 1000}

# Neighbours of those, so that what is fast is not just what is measured.
MORE_QUERIES: dict[str, tuple[str, dict[str, Any]]] = {
    "two_filters": (f'sum(count_over_time({_J} |= "POST" |= "error" != "404" [1m]))', _MINUTES),
    "regex_prefix": (rf'sum(count_over_time({_N} |~ "^10\\.1[0-9]\\." [1m]))', _MINUTES),
    "line_pattern": (f'sum(count_over_time({_N} |> `<_> "POST <_>" 500 <_>` [1m]))', _MINUTES),
    "line_ip": (f'sum(count_over_time({_N} |= ip("10.1.0.0/16") [1m]))', _MINUTES),
    "label_ip": (f'sum(count_over_time({_N} | pattern `{PATTERN}` | ip = ip("10.1.0.0/16") [1m]))', _MINUTES),
    "json_expression": (f'sum by (h) (count_over_time({_J} | json h="http.host" [1m]))', _MINUTES),
    "json_strings": (f'sum(count_over_time({_J} | json | method="POST" | path=~"/api/.*" [1m]))', _MINUTES),
    "json_numbers": (f'sum(count_over_time({_J} | json | duration_ms > 100 and method="GET" [1m]))', _MINUTES),
    "json_drop": (f"sum by (level) (count_over_time({_J} | json | drop trace_id, ts, user_id [1m]))", _MINUTES),
    "json_keep": (f"count_over_time({_J} | json | keep method, status [1m])", _MINUTES),
    "json_errors": (f"sum by (__error__) (count_over_time({_ALL} | json [1m]))", _MINUTES),
    "both_level": (f"sum by (level) (count_over_time({_J} {BOTH} [1m]))", _MINUTES),
    "both_filter": (f'sum(count_over_time({_ALL} {BOTH} | status="500" [1m]))', _MINUTES),
    "logfmt_expression": (f'sum by (m) (count_over_time({_L} | logfmt m="method", s="status" [1m]))', _MINUTES),
    "logfmt_duration": (f"sum by (level) (count_over_time({_L} | logfmt | duration > 100ms [1m]))", _MINUTES),
    "unwrap_duration": (
        f"quantile_over_time(0.95, {_L} | logfmt | unwrap duration(duration) [1m]) by (method)",
        _MINUTES,
    ),
    "regexp_count": (
        rf'sum by (method) (count_over_time({_N} | regexp `"(?P<method>\w+) (?P<path>\S+)` [1m]))',
        _MINUTES,
    ),
    "pattern_filter": (
        f"sum by (method) (count_over_time({_N} | pattern `{PATTERN}` | status >= 500 [1m]))",
        _MINUTES,
    ),
    "line_format_filter": (
        f'sum(count_over_time({_J} | json | line_format "{{{{.method}}}} {{{{.status}}}}" |= "POST 500" [1m]))',
        _MINUTES,
    ),
    "template_of_few": (
        f"sum by (x) (count_over_time({_J} | json | label_format x=`{{{{.method | lower}}}}` [5m]))",
        _COARSE,
    ),
    "template_of_many": (
        f"sum by (x) (count_over_time({_J} | json | label_format x=`{{{{trunc 7 .path}}}}` [5m]))",
        _COARSE,
    ),
    "pattern_ungrouped": (f'count_over_time({_N} | pattern `<_> "<method> <_>" <status> <_>` [1m])', _MINUTES),
    "logfmt_without": (f"sum without (pod) (count_over_time({_L} | logfmt method, status [1m]))", _MINUTES),
    "json_ungrouped": (f'max_over_time({_J} | json d="duration_ms", method="method" | unwrap d [1m])', _MINUTES),
    "max_of_max": (f"max by (pod) (max_over_time({_J} | json | unwrap duration_ms [5m]))", _MINUTES),
    "filter_of_unwrapped": (
        f"sum by (method) (sum_over_time({_J} | json | duration_ms > 50 | unwrap duration_ms [1m]))",
        _MINUTES,
    ),
    "p99_sliding": (
        f"quantile_over_time(0.99, {_J} | json | unwrap duration_ms [5m]) by (method)",
        {"step": 15},
    ),
    "detected_level": (f'sum by (level) (count_over_time({_ALL} | detected_level="error" [1m]))', _MINUTES),
    "ratio": (f"sum(rate({_J} | json | status>=500 [1m])) / sum(rate({_J} [1m]))", _MINUTES),
    "ungrouped": (f"rate({_ALL} [5m])", {"step": 15}),
    "every_second": (f"sum(rate({_ALL} [1m]))", {"step": 1}),
    "number_logs": (f"{_J} | json | duration_ms > 400", _LINES),
    "string_logs": (f"{_J} | json | user_id=12345", _LINES),
    "duration_logs": (f"{_L} | logfmt | duration > 200ms", _LINES),
    "pattern_logs": (f"{_N} | pattern `{PATTERN}` | status=503", _LINES),
    "line_pattern_logs": (f'{_N} |> `<_> "POST <_>" 500 <_>`', _LINES),
    "line_ip_logs": (f'{_N} |= ip("10.1.2.0/24")', _LINES),
    "both_logs": (f'{_ALL} {BOTH} | method="POST"', _LINES),
    "drop_logs": (f"{_J} | json | drop trace_id, user_id | status=500", _LINES),
    "made_logs": (f'{_J} | json | line_format "{{{{.method}}}} {{{{.path}}}}" |= "GET /login"', _LINES),
    "first_logs": (_J, {**_LINES, "direction": "forward"}),
    "many_logs": (f"{_J} | json", {"limit": 5000}),
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
