"""What a request says about its query besides the query itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pydantic import Field, field_validator

from log_aggregator.model.limits import Limits
from log_aggregator.model.quantity import ByteSize, Duration
from log_aggregator.model.section import Section
from log_aggregator.services.tightest_limits import tightest


class RequestedLimits(Section):
    """Limits that a request sets itself, in Loki's names of the X-Loki-Query-Limits header; 0 sets none."""

    max_query_length: Duration = Field(default=0, alias="maxQueryLength")
    max_query_range: Duration = Field(default=0, alias="maxQueryInterval")
    max_query_lookback: Duration = Field(default=0, alias="maxQueryLookback")
    max_entries_limit_per_query: int = Field(default=0, alias="maxEntriesLimitPerQuery")
    query_timeout: Duration = Field(default=0, alias="maxQueryTime")
    required_labels: tuple[str, ...] = Field(default=(), alias="requiredLabels")
    minimum_labels_number: int = Field(default=0, alias="minimumLabelsNumber")
    max_query_bytes_read: ByteSize = Field(default=0, alias="maxQueryBytesRead")
    # Of Loki's, whose queriers they are about: understood, so that a header with them is not refused.
    max_querier_bytes_read: ByteSize = Field(default=0, alias="maxQuerierBytesRead", exclude=True)
    tsdb_sharding_strategy: str = Field(default="", alias="tsdbShardingStrategy", exclude=True)

    @field_validator("max_query_length", "max_query_range", "max_query_lookback", "query_timeout", mode="before")
    @classmethod
    def _with_a_unit(cls, value: object) -> object:
        """Loki does not take numbers for durations here, and seconds taken for nanoseconds would refuse everything."""
        if value and not isinstance(value, str):
            raise ValueError("not a duration; write a text with a unit, such as 30s, 1h30m or 7d")
        return value


@dataclass(frozen=True, slots=True)
class QueryContext:
    """`tags` say where the query comes from: names in lower case. With `no_cache`, cached results will not do."""

    tags: Mapping[str, str] = field(default_factory=dict)
    limits: RequestedLimits = field(default_factory=RequestedLimits)
    no_cache: bool = False

    def tightened(self, limits: Limits) -> Limits:
        """A request can allow itself less than its tenant is allowed, and never more."""
        if self.limits == RequestedLimits():
            return limits
        return tightest([limits, limits.model_copy(update=self.limits.model_dump())])


NO_CONTEXT: Final = QueryContext()
