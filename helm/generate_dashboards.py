"""Writes the chart's dashboards: `uv run helm/generate_dashboards.py`. One table of panels for each.

Queries are on metrics of docs/metrics.md only; a test checks that, and that the files are up to date.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

DIRECTORY: Final = Path(__file__).parent / "log-aggregator" / "dashboards"

# $job: what scrapes the replicas; $tenant: any by default.
_JOB: Final = 'job=~"$job"'
_TENANT: Final = 'job=~"$job", tenant=~"$tenant"'
_ROW_PANELS: Final = 2
_HEIGHT: Final = 8


@dataclass(frozen=True, slots=True)
class Panel:
    """`queries` by legend. Units are Grafana's names."""

    title: str
    unit: str
    queries: Mapping[str, str]
    kind: str = "timeseries"
    stacked: bool = False
    description: str = ""


def _rate(metric: str, by: str = "", matchers: str = _JOB) -> str:
    grouping = f" by ({by})" if by else ""
    return f"sum{grouping} (rate({metric}{{{matchers}}}[$__rate_interval]))"


def _increase(metric: str) -> str:
    return f"sum(increase({metric}{{{_JOB}}}[$__rate_interval]))"


def _quantile_by(label: str, metric: str) -> str:
    return f"histogram_quantile(0.99, sum by ({label}, le) (rate({metric}_bucket{{{_JOB}}}[$__rate_interval])))"


def _quantiles(metric: str, matchers: str = _JOB) -> dict[str, str]:
    buckets = f"sum by (le) (rate({metric}_bucket{{{matchers}}}[$__rate_interval]))"
    return {f"p{quantile}": f"histogram_quantile(0.{quantile}, {buckets})" for quantile in ("99", "90", "50")}


_READ: Final = f'{_JOB}, operation=~"get|get_range|iter"'
_LAST_SWEEP: Final = "loki_boltdb_shipper_compact_tables_operation_last_successful_run_timestamp_seconds"
_PUSH: Final = f'{_JOB}, route=~"loki_api_v1_push|api_prom_push|otlp_v1_logs"'

DASHBOARDS: Final[Mapping[str, Sequence[Panel]]] = {
    "operations": (
        Panel("Replicas that answer", "short", {"up": f"sum(up{{{_JOB}}})"}, kind="stat"),
        Panel(
            "Requests that failed",
            "percentunit",
            {
                "5xx": f'sum(rate(loki_request_duration_seconds_count{{{_JOB}, status_code=~"5.."}}[$__rate_interval]))'
                f" / {_rate('loki_request_duration_seconds_count')}"
            },
            kind="stat",
        ),
        Panel(
            "Requests by status",
            "reqps",
            {"{{status_code}}": _rate("loki_request_duration_seconds_count", "status_code")},
            stacked=True,
        ),
        Panel("Requests by route", "reqps", {"{{route}}": _rate("loki_request_duration_seconds_count", "route")}),
        Panel("Time of a push", "s", _quantiles("loki_request_duration_seconds", _PUSH)),
        Panel("Time of a query", "s", _quantiles("loki_querier_request_duration_seconds")),
        Panel("Requests under way", "short", {"{{route}}": f"sum by (route) (loki_inflight_requests{{{_JOB}}})"}),
        Panel(
            "Trouble",
            "short",
            {
                "requests that failed unforeseen": _increase("loki_panic_total"),
                "flushes that failed": _increase("loki_ingester_chunks_flush_failures_total"),
                "pushes refused, Redis full": _increase("loki_ingester_wal_disk_full_failures_total"),
                "leases lost": _increase("log_aggregator_lease_lost_total"),
            },
            description="All of these should be zero.",
        ),
    ),
    "ingest": (
        Panel(
            "Lines received",
            "short",
            {"{{tenant}}": _rate("loki_distributor_lines_received_total", "tenant")},
            stacked=True,
        ),
        Panel(
            "Bytes received",
            "Bps",
            {"{{tenant}}": _rate("loki_distributor_bytes_received_total", "tenant")},
            stacked=True,
        ),
        Panel(
            "Lines received by format",
            "short",
            {"{{format}}": _rate("loki_distributor_lines_received_total", "format")},
        ),
        Panel(
            "Lines refused", "short", {"{{tenant}} {{reason}}": _rate("loki_discarded_samples_total", "tenant, reason")}
        ),
        Panel("Time of a push", "s", _quantiles("loki_request_duration_seconds", _PUSH)),
        Panel(
            "Time of an append to the write-ahead log", "s", _quantiles("log_aggregator_wal_append_duration_seconds")
        ),
        Panel(
            "Pushes for each append",
            "short",
            {
                "pushes": f"{_rate('loki_request_duration_seconds_count', matchers=_PUSH)}"
                f" / {_rate('loki_ingester_wal_records_logged_total')}"
            },
            description="How many pushes one fsync serves. It grows with the load.",
        ),
        Panel(
            "Bytes appended to the write-ahead log",
            "Bps",
            {"compressed": _rate("loki_ingester_wal_logged_bytes_total")},
        ),
        Panel("Not flushed yet", "bytes", {"{{instance}}": f"log_aggregator_buffer_bytes{{{_JOB}}}"}, stacked=True),
        Panel(
            "Streams not flushed yet",
            "short",
            {"{{tenant}}": f"sum by (tenant) (loki_ingester_memory_streams{{{_JOB}}})"},
        ),
        Panel("Bytes of a line", "bytes", _quantiles("loki_bytes_per_line")),
        Panel(
            "Entries taken over from dead replicas",
            "short",
            {"entries": _rate("loki_ingester_wal_recovered_entries_total")},
        ),
    ),
    "queries": (
        Panel(
            "Queries by route", "reqps", {"{{route}}": _rate("loki_querier_request_duration_seconds_count", "route")}
        ),
        Panel(
            "Queries by status",
            "reqps",
            {"{{status_code}}": _rate("loki_querier_request_duration_seconds_count", "status_code")},
        ),
        Panel("Time of a query", "s", _quantiles("loki_querier_request_duration_seconds")),
        Panel(
            "Time of a query by route, 99 of 100",
            "s",
            {"{{route}}": _quantile_by("route", "loki_querier_request_duration_seconds")},
        ),
        Panel(
            "Text that queries looked at",
            "Bps",
            {"{{type}}": _rate("loki_logql_querystats_bytes_processed_total", "type")},
            stacked=True,
            description="Before compression; what was skipped unread does not count.",
        ),
        Panel(
            "Text looked at in a second, by query",
            "Bps",
            _quantiles("loki_logql_querystats_bytes_processed_per_seconds"),
        ),
        Panel("Live tails", "short", {"tails": f"sum(loki_querier_tail_active{{{_JOB}}})"}),
        Panel("Lines sent to live tails", "Bps", {"bytes": _rate("loki_querier_tail_bytes_total")}),
        Panel(
            "Queries under way",
            "short",
            {"{{route}}": f'sum by (route) (loki_inflight_requests{{{_JOB}, route=~".*query.*"}})'},
        ),
        Panel(
            "Bytes read from the object store",
            "Bps",
            {"{{operation}}": _rate("loki_objstore_bucket_operation_fetched_bytes_total", "operation")},
        ),
        Panel(
            "Reads from the object store",
            "ops",
            {"{{operation}}": _rate("loki_objstore_bucket_operations_total", "operation", _READ)},
        ),
        Panel(
            "Time of a ranged read",
            "s",
            _quantiles("loki_objstore_bucket_operation_duration_seconds", f'{_JOB}, operation="get_range"'),
        ),
    ),
    "storage": (
        Panel(
            "Operations",
            "ops",
            {"{{operation}}": _rate("loki_objstore_bucket_operations_total", "operation")},
            stacked=True,
        ),
        Panel(
            "Operations that failed",
            "ops",
            {"{{operation}} {{reason}}": _rate("loki_objstore_bucket_operation_failures_total", "operation, reason")},
        ),
        Panel(
            "Time of an operation, 99 of 100",
            "s",
            {"{{operation}}": _quantile_by("operation", "loki_objstore_bucket_operation_duration_seconds")},
        ),
        Panel(
            "Bytes moved",
            "Bps",
            {"{{operation}}": _rate("loki_objstore_bucket_operation_transferred_bytes_sum", "operation")},
        ),
        Panel(
            "Chunks written, by reason",
            "ops",
            {"{{reason}}": _rate("loki_ingester_chunks_flushed_total", "reason")},
            stacked=True,
        ),
        Panel("Size of a chunk", "bytes", _quantiles("loki_ingester_chunk_size_bytes")),
        Panel("Entries in a chunk", "short", _quantiles("loki_ingester_chunk_entries")),
        Panel("Time of a flush", "s", _quantiles("log_aggregator_flush_duration_seconds")),
        Panel(
            "Rounds of maintenance",
            "short",
            {"{{status}}": _rate("loki_boltdb_shipper_compact_tables_operation_total", "status")},
            description="Compaction, retention and deletion; one replica at a time does this.",
        ),
        Panel("Since maintenance last succeeded", "s", {"all": f"time() - max({_LAST_SWEEP}{{{_JOB}}})"}),
        Panel(
            "Compacted",
            "Bps",
            {
                "read": _rate("log_aggregator_compaction_read_bytes_total"),
                "written": _rate("log_aggregator_compaction_written_bytes_total"),
            },
        ),
        Panel("Objects removed", "short", {"{{kind}}": _rate("log_aggregator_collected_objects_total", "kind")}),
        Panel(
            "Entries left out or deleted",
            "short",
            {
                "left out by compaction": _rate("log_aggregator_compaction_dropped_entries_total"),
                "deleted by request": _rate("loki_compactor_deleted_lines_total"),
            },
        ),
        Panel("Time of a commit", "s", _quantiles("loki_ingester_wal_truncate_duration_seconds")),
        Panel(
            "Since the last upload",
            "s",
            {"{{instance}}": f"time() - loki_objstore_bucket_last_successful_upload_time{{{_JOB}}}"},
            description="Up to ingester.max_chunk_age is usual; without new logs, longer.",
        ),
    ),
    "tenants": (
        Panel(
            "Bytes received",
            "Bps",
            {"{{tenant}}": _rate("loki_distributor_bytes_received_total", "tenant", _TENANT)},
            stacked=True,
        ),
        Panel(
            "Lines received",
            "short",
            {"{{tenant}}": _rate("loki_distributor_received_lines_total", "tenant", _TENANT)},
            stacked=True,
        ),
        Panel(
            "Lines refused",
            "short",
            {"{{tenant}} {{reason}}": _rate("loki_discarded_samples_total", "tenant, reason", _TENANT)},
        ),
        Panel(
            "Bytes refused",
            "Bps",
            {"{{tenant}} {{reason}}": _rate("loki_discarded_bytes_total", "tenant, reason", _TENANT)},
        ),
        Panel(
            "Streams not flushed yet",
            "short",
            {"{{tenant}}": f"sum by (tenant) (loki_ingester_memory_streams{{{_TENANT}}})"},
        ),
        Panel(
            "Bytes in the last day",
            "bytes",
            {"{{tenant}}": f"sum by (tenant) (increase(loki_distributor_bytes_received_total{{{_TENANT}}}[1d]))"},
        ),
    ),
}


def dashboard(name: str) -> str:
    """As Grafana's JSON."""
    variables = [
        _variable("datasource", "datasource", "prometheus"),
        _variable("job", "query", "label_values(loki_panic_total, job)"),
    ]
    if name == "tenants":
        variables.append(_variable("tenant", "query", "label_values(loki_distributor_bytes_received_total, tenant)"))
    model = {
        "uid": f"log-aggregator-{name}",
        "title": f"Log Aggregator / {name.capitalize()}",
        "tags": ["log-aggregator"],
        "editable": True,
        "refresh": "30s",
        "schemaVersion": 39,
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": variables},
        "panels": [_panel(number, panel) for number, panel in enumerate(DASHBOARDS[name])],
    }
    return json.dumps(model, indent=2) + "\n"


def _variable(name: str, kind: str, query: str) -> dict[str, Any]:
    own = {"name": name, "type": kind, "query": query, "label": name}
    if kind == "datasource":
        return own
    source = {"type": "prometheus", "uid": "$datasource"}
    return own | {"datasource": source, "refresh": 2, "multi": True, "includeAll": True, "allValue": ".+"}


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    row, column = divmod(number, _ROW_PANELS)
    width = 24 // _ROW_PANELS
    drawn: dict[str, Any] = {"unit": panel.unit, "min": 0}
    if panel.kind == "timeseries":
        stacking = {"stacking": {"mode": "normal"}, "fillOpacity": 30} if panel.stacked else {"fillOpacity": 5}
        drawn["custom"] = {"showPoints": "never"} | stacking
    return {
        "id": number + 1,
        "title": panel.title,
        "description": panel.description,
        "type": panel.kind,
        "datasource": {"type": "prometheus", "uid": "$datasource"},
        "gridPos": {"x": column * width, "y": row * _HEIGHT, "w": width, "h": _HEIGHT},
        "fieldConfig": {"defaults": drawn, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + place), "expr": query, "legendFormat": legend}
            for place, (legend, query) in enumerate(panel.queries.items())
        ],
    }


if __name__ == "__main__":
    DIRECTORY.mkdir(exist_ok=True)
    for name in DASHBOARDS:
        (DIRECTORY / f"{name}.json").write_text(dashboard(name))
