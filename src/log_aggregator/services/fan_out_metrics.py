"""Metrics of shares of queries. See docs/metrics.md."""

from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge


class Fate(StrEnum):
    """What became of a share that was offered to other replicas."""

    ANSWERED = "answered"  # by another replica
    TAKEN = "taken"  # computed by the asking replica, which was first
    REFUSED = "refused"  # likewise, since another could not


class Outcome(StrEnum):
    """What a share came to that was pulled from another replica."""

    ANSWERED = "answered"
    REFUSED = "refused"
    UNWANTED = "unwanted"  # its query had ended, or it was taken back


class FanOutMetrics:
    """Of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.shared = Counter(
            "log_aggregator_query_shares_total",
            "Shares of queries of this replica that were offered to others",
            ["fate"],
            registry=registry,
        )
        self.worked = Counter(
            "log_aggregator_query_shares_worked_total",
            "Shares of queries of other replicas",
            ["outcome"],
            registry=registry,
        )
        self.others = Gauge(
            "log_aggregator_query_workers", "Other replicas that work on shares of queries", registry=registry
        )
        for fate in Fate:
            self.shared.labels(fate)
        for outcome in Outcome:
            self.worked.labels(outcome)
