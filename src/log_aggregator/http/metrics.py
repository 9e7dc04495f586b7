"""Metrics of HTTP requests: Loki's request histogram by route, and the seed's name for the query routes."""

import platform
import sys

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from log_aggregator import __version__

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100)


class HttpMetrics:
    """Of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.request_seconds = Histogram(
            "loki_request_duration_seconds",
            "Time in seconds spent serving HTTP requests",
            ["method", "route", "status_code", "ws"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.querier_seconds = Histogram(
            "loki_querier_request_duration_seconds",
            "Time in seconds spent serving queries",
            ["method", "route", "status_code"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.inflight = Gauge("loki_inflight_requests", "Requests being served", ["method", "route"], registry=registry)
        self.panics = Counter("loki_panic_total", "Requests that failed in a way nobody foresaw", registry=registry)

    def observe(self, method: str, route: str, status: int, seconds: float, *, is_query: bool, ws: bool) -> None:
        self.request_seconds.labels(method, route, str(status), "true" if ws else "false").observe(seconds)
        if is_query:
            self.querier_seconds.labels(method, route, str(status)).observe(seconds)


def show_process(registry: CollectorRegistry) -> None:
    """What dashboards made for Loki take its clusters from, and Prometheus' own names for what a process takes."""
    build = {
        "version": __version__,
        "revision": "",
        "branch": "",
        "goversion": f"python{platform.python_version()}",
        "goos": sys.platform,
        "goarch": platform.machine(),
        "tags": "",
    }
    text = "Always 1; the labels tell what was built"
    Gauge("loki_build_info", text, list(build), registry=registry, multiprocess_mode="max").labels(**build).set(1)
    ProcessCollector(registry=registry)
