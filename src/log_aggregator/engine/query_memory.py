"""What a query holds of what it has found, against what it may hold: rows, samples, series, the answer.

Sizes are estimates, to a factor of two or so. What a stage needs only while it works on one batch does not count.
"""

from threading import Lock
from typing import ClassVar, Final, Literal

from log_aggregator.errors import ErrorCode, LogAggregatorError

# In CPython, beside the characters of names and values.
SERIES_BYTES: Final = 700
"""A series: its labels, as a key of the tables that number it, and what follows from them."""
SAMPLE_BYTES: Final = 200
"""A sample of a vector, until the answer is written."""
ROW_BYTES: Final = 500
"""An entry of an answer."""

What = Literal["entries", "samples", "series"]


class QueryTooLarge(LogAggregatorError):
    """The query would take more memory than a query may."""

    code: ClassVar[ErrorCode] = ErrorCode.INVALID

    def __init__(self, what: What, limit_bytes: int) -> None:
        super().__init__(
            f"the query needs too much memory: its {what} take more than {limit_bytes >> 20}MB, the share of one of "
            "querier.max_concurrent queries; consider more specific stream selectors or filters, fewer series, or a "
            "shorter time range"
        )


class TooManySeries(LogAggregatorError):
    """The query's answer has more series than one may have."""

    code: ClassVar[ErrorCode] = ErrorCode.INVALID

    def __init__(self, allowed: int) -> None:
        super().__init__(
            f"maximum number of series ({allowed}) reached for a single query; consider reducing query cardinality by "
            "adding more specific stream selectors, reducing the time range, or aggregating results with functions "
            "like sum(), count() or topk()"
        )


class QueryMemory:
    """Of one query; 0 for no limit. Safe to use from several threads."""

    def __init__(self, limit_bytes: int = 0, most_series: int = 0) -> None:
        """`most_series` may be found by an aggregation of entries."""
        self._limit = limit_bytes
        self.most_series = most_series
        self._held = 0
        self._lock = Lock()

    def hold(self, what: What, size_bytes: int) -> None:
        """Until `release`, or the end of the query. Raises QueryTooLarge."""
        with self._lock:
            self._held += size_bytes
            if 0 < self._limit < self._held:
                raise QueryTooLarge(what, self._limit)

    def release(self, size_bytes: int) -> None:
        with self._lock:
            self._held -= size_bytes


class HeldSeries:
    """How many series an aggregation of entries has found. For one thread at a time."""

    def __init__(self, memory: QueryMemory) -> None:
        self._memory = memory
        self._without_error = 0

    def add(self, count: int, with_error: int = 0) -> None:
        """So many that are new, some of which show an error. Raises TooManySeries, QueryTooLarge."""
        # Those that show an error keep all their labels, so a sum around them may have fewer.
        self._without_error += count - with_error
        if 0 < self._memory.most_series < self._without_error:
            raise TooManySeries(self._memory.most_series)
        self._memory.hold("series", SERIES_BYTES * count)
