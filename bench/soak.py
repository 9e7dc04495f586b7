"""A day and a half of logs in half an hour, with a server that is killed now and then: nothing may be lost or repeated.

    uv run python bench/soak.py                    half an hour
    uv run python bench/soak.py --minutes 5        fewer logs and flushes; large chunks are then not compacted

Timestamps run through the last 36 hours, of which 30 are kept; flushes and compactions follow each other quickly. Every
twenty seconds all hours that are kept are counted, and compared with what was acknowledged. A line shows how many
entries there are, the server's memory, its objects, and what it answered. Ends with 1 at the first hour that differs.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import workload
from own_server import Server, serving

_CONFIG = """
limits_config:
  reject_old_samples: false
  retention_period: 30h
  ingestion_rate_mb: 10000
  ingestion_burst_size_mb: 10000
  per_stream_rate_limit: 10GB
  per_stream_rate_limit_burst: 10GB
ingester:
  chunk_idle_period: 10s
  max_chunk_age: 20s
pattern_ingester:
  enabled: true
compactor:
  retention_enabled: true
  compaction_interval: 10s
  retention_delete_delay: 30s
"""
_TENANT = "soak"
_HOUR_S, _HOUR_NS = 3600, 3600 * 10**9
_HOURS, _HOURS_KEPT = 36, 30
_PODS = 5
_LINES_OF_A_POD = 100
_SECONDS_BETWEEN_CHECKS = 20
_SECONDS_BETWEEN_KILLS = 150
_QUERIES = (
    'sum by (status) (count_over_time({app="json"} | json [5m]))',
    'sum by (method, status) (rate({app="logfmt"} | logfmt [5m]))',
    'topk(3, sum by (path) (count_over_time({app="nginx"} | pattern `<_> "<_> <path> <_>` [10m])))',
    'quantile_over_time(0.9, {app="json"} | json | unwrap duration_ms [10m]) by (pod)',
    'sum without (pod) (count_over_time({app="logfmt"} | logfmt method, level [5m]))',
    '{app="json"} | json | status >= 500 | line_format "{{.path}}"',
    '{app="nginx"} |= "POST"',
)


class Soak:
    """Pushes and what was acknowledged: entries by the hour (UTC) that they end."""

    def __init__(self, seconds: float) -> None:
        self._random = random.Random(1)
        self._lines = {family: workload.lines(family, 10**9) for family in workload.FAMILIES}
        self._begun_s, self._seconds = time.time(), seconds
        self._acknowledged: Counter[int] = Counter()
        self.pushes = 0

    @property
    def is_over(self) -> bool:
        return time.time() - self._begun_s > self._seconds

    def push(self, server: Server) -> None:
        """Until it is acknowledged: what is pushed twice counts once."""
        streams, hours = self._streams()
        body = json.dumps({"streams": streams}).encode()
        while server.push(_TENANT, body) != 204:
            time.sleep(0.2)
        self._acknowledged.update(hours)
        self.pushes += 1

    def query(self, server: Server) -> None:
        end_s = self._now_s()
        length_s = self._random.choice((600, _HOUR_S, 6 * _HOUR_S))
        span = {"start": str(end_s - length_s), "end": str(end_s), "step": "60"}
        server.query(_TENANT, self._random.choice(_QUERIES), **span)

    def check(self, server: Server) -> None:
        """Exits at the first hour of those kept whose entries are not those acknowledged."""
        # Late enough that none of its entries expires while they are counted.
        first = int(time.time()) // _HOUR_S - _HOURS_KEPT + 2
        last = max(int(self._now_s()) // _HOUR_S + 1, first)
        span = {"start": str(first * _HOUR_S), "end": str(last * _HOUR_S), "step": str(_HOUR_S)}
        status, answer = server.query(_TENANT, 'sum(count_over_time({app=~".+"}[1h]))', **span)
        if status != 200:
            sys.exit(f"counting was answered {status} {answer[:200]!r}")
        result = json.loads(answer)["data"]["result"]
        found = {int(time_s) // _HOUR_S: int(value) for series in result for time_s, value in series["values"]}
        for hour in range(first, last + 1):
            if found.get(hour, 0) != self._acknowledged[hour]:
                sys.exit(f"until hour {hour}: {found.get(hour, 0)} entries of {self._acknowledged[hour]}")

    @property
    def total(self) -> int:
        return self._acknowledged.total()

    def _now_s(self) -> float:
        """Of the logs. They begin some hours before they are kept, and end with the soak."""
        return self._begun_s - _HOURS * _HOUR_S * (1 - (time.time() - self._begun_s) / self._seconds)

    def _streams(self) -> tuple[list[dict[str, object]], list[int]]:
        minute_ns = int(self._now_s()) // 60 * 60 * 10**9
        streams: list[dict[str, object]] = []
        hours = []
        for family, lines in self._lines.items():
            for pod in range(_PODS):
                times = [minute_ns + self._random.randrange(60 * 10**9) for _ in range(_LINES_OF_A_POD)]
                hours += [-(-time_ns // _HOUR_NS) for time_ns in times]
                values = [[str(time_ns), next(lines)] for time_ns in times]
                streams.append({"stream": {"app": family, "pod": f"pod-{pod}"}, "values": values})
        return streams, hours


def _run(soak: Soak, memory_mb: int, scratch: Path) -> Iterator[str]:
    """Lines to print. Exits where the entries differ."""
    for life in count(1):
        with serving(_CONFIG, memory_mb, scratch) as server:
            ending = checked = time.monotonic()
            ending += _SECONDS_BETWEEN_KILLS
            while time.monotonic() < ending and not soak.is_over:
                soak.push(server)
                soak.query(server)
                if time.monotonic() - checked > _SECONDS_BETWEEN_CHECKS:
                    checked = time.monotonic()
                    yield _line(soak, server, life, scratch)
                    soak.check(server)
                time.sleep(0.3)
            if soak.is_over:
                soak.check(server)
                return
            os.kill(server.pid, signal.SIGKILL)


def _line(soak: Soak, server: Server, life: int, scratch: Path) -> str:
    files = [path for path in (scratch / "data" / "chunks").rglob("*") if path.is_file()]
    answers = " ".join(f"{status}:{number}" for status, number in sorted(server.answers.items()))
    return (
        f"life {life}  {soak.total:9d} entries  {server.bytes_of('VmRSS') >> 20:5d} MB resident  "
        f"{len(files):4d} objects of {sum(path.stat().st_size for path in files) >> 20} MB  answers {answers}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--memory-mb", type=int, default=1024, help="what the server may use")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="log-aggregator-soak-") as scratch:
        for line in _run(Soak(args.minutes * 60), args.memory_mb, Path(scratch)):
            print(line, flush=True)
    print("nothing was lost or repeated")


if __name__ == "__main__":
    main()
