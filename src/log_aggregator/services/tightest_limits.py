"""The limits of a query that several sets of limits bind: of several tenants, or of a tenant and of the request."""

from collections.abc import Callable, Sequence
from typing import Final

from log_aggregator.model.limits import Limits
from log_aggregator.model.tenants import tenants_of

# Of these, 0 is no limit.
_SMALLEST: Final = (
    "max_entries_limit_per_query",
    "max_query_length",
    "max_query_lookback",
    "max_query_range",
    "max_query_series",
    "max_streams_matchers_per_query",
    "max_query_bytes_read",
    "query_timeout",
    "volume_max_series",
)
# Of these, 0 allows nothing.
_SMALLEST_WITH_ZERO: Final = ("max_query_parallelism", "tsdb_max_query_parallelism", "volume_enabled")


def tightest(limits: Sequence[Limits]) -> Limits:
    """What all of them allow. What does not concern queries is that of the first."""
    first = limits[0]
    if len(limits) == 1:
        return first
    smallest = {name: min(filter(None, (getattr(one, name) for one in limits)), default=0) for name in _SMALLEST}
    with_zero = {name: min(getattr(one, name) for one in limits) for name in _SMALLEST_WITH_ZERO}
    return first.model_copy(
        update={
            **smallest,
            **with_zero,
            "required_labels": tuple(dict.fromkeys(name for one in limits for name in one.required_labels)),
            "minimum_labels_number": max(one.minimum_labels_number for one in limits),
            "blocked_queries": tuple(blocked for one in limits for blocked in one.blocked_queries),
        }
    )


def limits_of_all(limits_of: Callable[[str], Limits], tenant: str) -> Limits:
    """Of one tenant or of several (`model.tenants`)."""
    return tightest([limits_of(one) for one in tenants_of(tenant)])
