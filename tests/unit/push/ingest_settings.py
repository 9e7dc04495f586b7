"""A tenant's limits with Loki's defaults, for tests that change one at a time."""

from dataclasses import dataclass

from log_aggregator.services.level import DEFAULT_LEVEL_FIELDS

SECOND_NS = 10**9


@dataclass(frozen=True, slots=True)
class Settings:
    max_line_size: int = 256 << 10
    max_line_size_truncate: bool = False
    max_line_size_truncate_identifier: str = ""
    max_label_names_per_series: int = 15
    max_label_name_length: int = 1024
    max_label_value_length: int = 2048
    reject_old_samples: bool = True
    reject_old_samples_max_age: int = 7 * 86_400 * SECOND_NS
    creation_grace_period: int = 600 * SECOND_NS
    increment_duplicate_timestamp: bool = False
    allow_structured_metadata: bool = True
    max_structured_metadata_size: int = 64 << 10
    max_structured_metadata_entries_count: int = 128
    discover_service_name: tuple[str, ...] = ("service", "app")
    discover_log_levels: bool = True
    log_level_fields: tuple[str, ...] = DEFAULT_LEVEL_FIELDS
    log_level_from_json_max_depth: int = 2
    enforced_labels: tuple[str, ...] = ()
    block_ingestion_until: int = 0
    block_ingestion_status_code: int = 260
