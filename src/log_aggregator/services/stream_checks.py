"""What a stream of a push must be, whatever its entries."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from log_aggregator.model.labels import Labels, format_labels
from log_aggregator.model.lru import SizedLru
from log_aggregator.services import push_messages as messages
from log_aggregator.services.ingest_limits import IngestLimits
from log_aggregator.services.refusals import Problem, Reason

_SERVICE_NAME: Final = "service_name"
_UNKNOWN_SERVICE: Final = "unknown_service"
_INTERNAL_LABELS: Final = frozenset(("__aggregated_metric__", "__pattern__"))
"""Streams that a Loki writes to itself carry one of these, and are taken as they are."""
_REMEMBERED_BYTES: Final = 16 << 20
_PAIR_BYTES: Final = 80


class StreamRules(NamedTuple):
    """What of a tenant's limits decides about a stream."""

    discover_service_name: tuple[str, ...]
    max_label_names_per_series: int
    max_label_name_length: int
    max_label_value_length: int
    enforced_labels: tuple[str, ...]

    @classmethod
    def of(cls, limits: IngestLimits) -> "StreamRules":
        return cls(
            tuple(limits.discover_service_name),
            limits.max_label_names_per_series,
            limits.max_label_name_length,
            limits.max_label_value_length,
            tuple(limits.enforced_labels),
        )


_fine: Final[SizedLru[tuple[Labels, StreamRules], Labels]] = SizedLru(_REMEMBERED_BYTES)
"""The streams of a client come with every push, and to look at their labels takes ten times as long as to find them."""


def fine_labels(sent: Labels, rules: StreamRules) -> Labels | None:
    """The labels with `service_name`, or None if there is a `stream_problem`."""
    labels = _fine.get((sent, rules))
    if labels is None:
        labels = with_service_name(sent, rules.discover_service_name)
        if stream_problem(labels, rules, "") is not None:
            return None
        size = sum(2 * _PAIR_BYTES + size_bytes(name) + size_bytes(value) for name, value in labels)
        _fine.put((sent, rules), labels, size)
    return labels


def with_service_name(labels: Labels, discover: Sequence[str]) -> Labels:
    """The labels with `service_name`, from the first label of `discover` that they have, unless it is there already."""
    if not discover:
        return labels
    values = dict(labels)
    if _SERVICE_NAME in values or _is_internal(values):
        return labels
    service = next((values[name] for name in discover if name in values), _UNKNOWN_SERVICE)
    return tuple(sorted((*labels, (_SERVICE_NAME, service))))


def stream_problem(labels: Labels, limits: IngestLimits | StreamRules, tenant: str) -> Problem | None:
    """Why all entries of the stream are refused, if they are. A name given twice stands twice in `labels`."""
    if not labels:
        return Problem(Reason.MISSING_LABELS, messages.MISSING_LABELS)
    if _is_internal(dict(labels)):
        return None
    return _label_problem(labels, limits) or _enforcement_problem(labels, limits.enforced_labels, tenant)


def _is_internal(names: dict[str, str]) -> bool:
    return not _INTERNAL_LABELS.isdisjoint(names)


def _label_problem(labels: Labels, limits: IngestLimits | StreamRules) -> Problem | None:
    count = len(labels) - any(name == _SERVICE_NAME for name, _ in labels)
    if count > (limit := limits.max_label_names_per_series):
        message = messages.too_many_label_names(format_labels(labels), count, limit)
        return Problem(Reason.TOO_MANY_LABEL_NAMES, message)
    for name, value in labels:
        if size_bytes(name) > limits.max_label_name_length:
            return Problem(Reason.LABEL_NAME_TOO_LONG, messages.label_name_too_long(format_labels(labels), name))
        if size_bytes(value) > limits.max_label_value_length:
            return Problem(Reason.LABEL_VALUE_TOO_LONG, messages.label_value_too_long(format_labels(labels), value))
    for (name, _), (following, _) in pairwise(labels):
        if name == following:
            return Problem(Reason.DUPLICATE_LABEL_NAMES, messages.duplicate_label_name(format_labels(labels), name))
    return None


def _enforcement_problem(labels: Labels, enforced: Sequence[str], tenant: str) -> Problem | None:
    names = {name for name, _ in labels}
    missing = [name for name in dict.fromkeys(enforced) if name not in names]
    if not missing:
        return None
    message = messages.missing_enforced_labels(format_labels(labels), tenant, missing)
    return Problem(Reason.MISSING_ENFORCED_LABELS, message)


def size_bytes(text: str) -> int:
    """In UTF-8."""
    return len(text) if text.isascii() else len(text.encode())
