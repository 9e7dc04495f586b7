"""What clients are told when entries are refused. The texts are Loki's: clients and dashboards look for them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from log_aggregator.model.labels import Labels, format_labels
from log_aggregator.model.quantity import format_size

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

MISSING_LABELS: Final = "error at least one label pair is required per stream"


def too_many_label_names(stream: str, count: int, limit: int) -> str:
    return f"entry for stream '{stream}' has {count} label names; limit {limit}"


def label_name_too_long(stream: str, name: str) -> str:
    return f"stream '{stream}' has label name too long: '{name}'"


def label_value_too_long(stream: str, value: str) -> str:
    return f"stream '{stream}' has label value too long: '{value}'"


def duplicate_label_name(stream: str, name: str) -> str:
    return f"stream '{stream}' has duplicate label name: '{name}'"


def missing_enforced_labels(stream: str, tenant: str, names: Sequence[str]) -> str:
    return f"missing required labels '{','.join(names)}' for user '{tenant}' for stream '{stream}' (policy: '')"


def ingestion_blocked(tenant: str, until_ns: int, status: int) -> str:
    return f"ingestion blocked for user '{tenant}' until '{_time(until_ns)}' with status code '{status}'"


def timestamp_too_old(stream: str, timestamp_ns: int, oldest_ns: int) -> str:
    return (
        f"entry for stream '{stream}' has timestamp too old: {_time(timestamp_ns)}, "
        f"oldest acceptable timestamp is: {_time(oldest_ns)}"
    )


def timestamp_too_new(stream: str, timestamp_ns: int) -> str:
    return f"entry for stream '{stream}' has timestamp too new: {_time(timestamp_ns)}"


def line_too_long(stream: str, size_bytes: int, limit_bytes: int) -> str:
    return (
        f"max entry size '{limit_bytes}' bytes exceeded for stream '{stream}' "
        f"while adding an entry with length '{size_bytes}' bytes"
    )


def metadata_disallowed(stream: str) -> str:
    return (
        f"stream '{stream}' includes structured metadata, but this feature is disallowed. Please see "
        "`limits_config.allow_structured_metadata` or contact your Loki administrator to enable it"
    )


def metadata_too_large(stream: str, size_bytes: int, limit_bytes: int) -> str:
    return (
        f"stream '{stream}' has structured metadata too large: '{size_bytes}' bytes, limit: '{limit_bytes}' bytes. "
        "Please see `limits_config.max_structured_metadata_size` or contact your Loki administrator to increase it"
    )


def too_much_metadata(stream: str, count: int, limit: int) -> str:
    return (
        f"stream '{stream}' has too many structured metadata labels: '{count}', limit: '{limit}'. Please see "
        "`limits_config.max_structured_metadata_entries_count` or contact your Loki administrator to increase it"
    )


def invalid_metadata_name(stream: str) -> str:
    return f"stream '{stream}' has a structured metadata name that is invalid: expected an ASCII letter or digit in it"


def rate_limited(tenant: str, limit_bytes: int, lines: int, size_bytes: int) -> str:
    """`limit_bytes` a second."""
    return (
        f"ingestion rate limit exceeded for user {tenant} (limit: {limit_bytes} bytes/sec) while attempting to ingest "
        f"'{lines}' lines totaling '{size_bytes}' bytes, reduce log volume or contact your Loki administrator "
        "to see if the limit can be increased"
    )


def stream_limit_exceeded(labels: Labels, tenant: str) -> str:
    return (
        f"maximum active stream limit exceeded when trying to create stream {format_labels(labels)}, reduce the number "
        "of active streams (reduce labels or reduce label values), or contact your Loki administrator to see if the "
        f"limit can be increased, user: '{tenant}'"
    )


def stream_rate_limited(
    labels: Labels, timestamp_ns: int, limit_bytes: int, lines: int, size_bytes: int, tenant: str
) -> str:
    """For a stream of which all `lines` of a push were ignored; `timestamp_ns` is that of one of them."""
    stream, limit, size = format_labels(labels), format_size(limit_bytes), format_size(size_bytes)
    stamp = _EPOCH + timedelta(seconds=timestamp_ns // 10**9)
    return (
        f"entry with timestamp {stamp:%Y-%m-%d %H:%M:%S} +0000 UTC ignored, reason: "
        f"'Per stream rate limit exceeded (limit: {limit}/sec) while attempting to ingest for stream "
        f"'{stream}' totaling {size}, consider splitting a stream via additional labels or contact your "
        "Loki administrator to see if the limit can be increased',\n"
        f"user '{tenant}', total ignored: {lines} out of {lines} for stream: {stream}"
    )


def _time(timestamp_ns: int) -> str:
    return f"{_EPOCH + timedelta(seconds=timestamp_ns // 10**9):%Y-%m-%dT%H:%M:%SZ}"
