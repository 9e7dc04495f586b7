"""What was refused of a push: counted by reason for the metrics, in words for the client."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class Reason(StrEnum):
    """Why entries were dropped, in the words of Loki's metrics."""

    MISSING_LABELS = "missing_labels"
    TOO_MANY_LABEL_NAMES = "max_label_names_per_series"
    LABEL_NAME_TOO_LONG = "label_name_too_long"
    LABEL_VALUE_TOO_LONG = "label_value_too_long"
    DUPLICATE_LABEL_NAMES = "duplicate_label_names"
    MISSING_ENFORCED_LABELS = "missing_enforced_labels"
    BLOCKED_INGESTION = "blocked_ingestion"
    TOO_OLD = "greater_than_max_sample_age"
    TOO_NEW = "too_far_in_future"
    LINE_TOO_LONG = "line_too_long"
    METADATA_DISALLOWED = "disallowed_structured_metadata"
    METADATA_TOO_LARGE = "structured_metadata_too_large"
    METADATA_TOO_MANY = "structured_metadata_too_many"
    METADATA_NAME_INVALID = "invalid_structured_metadata_name"
    RATE_LIMITED = "rate_limited"
    STREAM_LIMIT = "stream_limit"
    STREAM_RATE_LIMIT = "per_stream_rate_limit"


class Problem(NamedTuple):
    """Why a stream or an entry is refused, for the metrics and for the client."""

    reason: Reason
    message: str


@dataclass(slots=True)
class Refusals:
    """Collected while a push is validated."""

    discarded: dict[Reason, tuple[int, int]] = field(default_factory=dict)
    """Lines and bytes (of lines and structured metadata) by reason."""
    messages: Counter[str] = field(default_factory=Counter)
    """What the client is told, in order of first appearance, with how many streams or entries it is true of."""

    def add(self, problem: Problem, lines: int, size_bytes: int) -> None:
        """One stream or one entry; `lines` is how many entries are lost with it."""
        self.messages[problem.message] += 1
        self.count(problem.reason, lines, size_bytes)

    def count(self, reason: Reason, lines: int, size_bytes: int) -> None:
        """For the metrics only."""
        lines_before, bytes_before = self.discarded.get(reason, (0, 0))
        self.discarded[reason] = (lines_before + lines, bytes_before + size_bytes)


def summary(messages: Counter[str], max_messages: int) -> str:
    """All in one text, equal ones counted as Loki does; beyond `max_messages` distinct ones (0: all) only a number."""
    if messages.total() == 1:
        return next(iter(messages))
    told = list(messages.items())[: max_messages or None]
    parts = [f"{count} errors like: {message}" for message, count in told]
    if untold := messages.total() - sum(count for _, count in told):
        parts.append(f"{untold} more errors")
    return "; ".join(parts)
