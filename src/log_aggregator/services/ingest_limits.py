"""What the checks of a push need to know of a tenant's limits."""

from collections.abc import Sequence
from typing import Protocol

from log_aggregator.services.level import LevelLimits


class IngestLimits(LevelLimits, Protocol):
    """Loki's names. Sizes in bytes, durations and times in nanoseconds."""

    @property
    def max_line_size(self) -> int:
        """0: no limit."""

    @property
    def max_line_size_truncate(self) -> bool:
        """Cut lines that are too long instead of refusing them."""

    @property
    def max_line_size_truncate_identifier(self) -> str:
        """Ends a line that was cut."""

    @property
    def max_label_names_per_series(self) -> int:
        """Not counting service_name."""

    @property
    def max_label_name_length(self) -> int: ...

    @property
    def max_label_value_length(self) -> int: ...

    @property
    def reject_old_samples(self) -> bool: ...

    @property
    def reject_old_samples_max_age(self) -> int: ...

    @property
    def creation_grace_period(self) -> int:
        """How far in the future a timestamp may lie."""

    @property
    def increment_duplicate_timestamp(self) -> bool:
        """Move an entry by a nanosecond if the one before it has its timestamp but another line."""

    @property
    def allow_structured_metadata(self) -> bool: ...

    @property
    def max_structured_metadata_size(self) -> int:
        """Of one entry; 0: no limit."""

    @property
    def max_structured_metadata_entries_count(self) -> int:
        """Of one entry; 0: no limit."""

    @property
    def discover_service_name(self) -> Sequence[str]:
        """Labels that may name the service, the most trusted first. Empty: do not discover."""

    @property
    def discover_log_levels(self) -> bool: ...

    @property
    def enforced_labels(self) -> Sequence[str]: ...

    @property
    def block_ingestion_until(self) -> int:
        """Nanoseconds since 1970; 0: not blocked."""

    @property
    def block_ingestion_status_code(self) -> int:
        """What a blocked client is answered; 200 drops its entries silently."""
