"""A tenant's limits: Loki's `limits_config`. Names and defaults are Loki's.

Source: Loki's configuration reference, limits_config.
"""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator

from log_aggregator.model.otlp import OtlpSettings
from log_aggregator.model.quantity import ByteSize, Duration, Time
from log_aggregator.model.section import Section

_SECOND_NS = 1_000_000_000
_HOUR_NS = 3600 * _SECOND_NS
_DAY_NS = 24 * _HOUR_NS


class StreamRetention(Section):
    """How long streams that the selector matches are kept. Where several do, the highest priority decides."""

    selector: str
    priority: int = 0
    period: Duration

    @field_validator("period")
    @classmethod
    def _at_least_a_day(cls, period: int) -> int:
        if period < _DAY_NS:
            raise ValueError("the shortest retention period is 24h")
        return period


def _separated(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


QueryType = Literal["metric", "filter", "limited"]


class BlockedQuery(Section):
    """A query is refused if everything that is set here fits it."""

    pattern: str = ""
    regex: bool = False
    hash: int = 0  # 32-bit FNV-1 of the query's text
    types: Annotated[tuple[QueryType, ...], BeforeValidator(_separated)] = ()  # a list, or separated by commas
    query_tags: dict[str, str] = Field(default_factory=dict)


class Limits(Section):
    """Sizes in bytes, durations and times in nanoseconds; 0 means no limit unless a field says otherwise."""

    # Ingest
    ingestion_rate_strategy: Literal["global", "local"] = "global"
    ingestion_rate_mb: float = 4.0
    ingestion_burst_size_mb: float = 6.0
    max_line_size: ByteSize = 256 << 10
    max_line_size_truncate: bool = False
    max_line_size_truncate_identifier: str = ""
    max_label_names_per_series: int = 15
    max_label_name_length: int = 1024
    max_label_value_length: int = 2048
    reject_old_samples: bool = True
    reject_old_samples_max_age: Duration = 7 * _DAY_NS
    creation_grace_period: Duration = 600 * _SECOND_NS
    increment_duplicate_timestamp: bool = False
    allow_structured_metadata: bool = True
    max_structured_metadata_size: ByteSize = 64 << 10
    max_structured_metadata_entries_count: int = 128
    discover_service_name: tuple[str, ...] = (
        "service",
        "app",
        "application",
        "app_name",
        "name",
        "app_kubernetes_io_name",
        "container",
        "container_name",
        "k8s_container_name",
        "component",
        "workload",
        "job",
        "k8s_job_name",
    )
    discover_log_levels: bool = True
    log_level_fields: tuple[str, ...] = ()
    log_level_from_json_max_depth: int = 2
    otlp_config: OtlpSettings = OtlpSettings()
    enforced_labels: tuple[str, ...] = ()
    block_ingestion_until: Time = 0
    block_ingestion_status_code: int = 260
    max_streams_per_user: int = 0
    max_global_streams_per_user: int = 5000
    per_stream_rate_limit: ByteSize = 3 << 20
    per_stream_rate_limit_burst: ByteSize = 15 << 20

    # Query
    max_entries_limit_per_query: int = 5000
    max_query_length: Duration = 721 * _HOUR_NS
    max_query_lookback: Duration = 0
    max_query_range: Duration = 0
    max_query_series: int = 500
    max_streams_matchers_per_query: int = 1000
    max_query_bytes_read: ByteSize = 0
    max_querier_bytes_read: ByteSize = 150 << 30
    max_query_parallelism: int = 32  # 0: no queries; other values change nothing
    tsdb_max_query_parallelism: int = 128  # the same
    query_timeout: Duration = Field(default=60 * _SECOND_NS, ge=0)
    split_queries_by_interval: Duration = _HOUR_NS  # for which results are cached
    max_cache_freshness_per_query: Duration = 600 * _SECOND_NS
    required_labels: tuple[str, ...] = ()
    minimum_labels_number: int = 0
    blocked_queries: tuple[BlockedQuery, ...] = ()
    max_concurrent_tail_requests: int = 10
    volume_enabled: bool = True
    volume_max_series: int = 1000

    # Retention and deletion
    retention_period: Duration = 0
    retention_stream: tuple[StreamRetention, ...] = ()
    deletion_mode: Literal["disabled", "filter-only", "filter-and-delete"] = "filter-and-delete"
