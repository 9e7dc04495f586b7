"""One line of our log, and observations of Loki's query metrics, for each query."""

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Histogram

from log_aggregator.errors import LogAggregatorError
from log_aggregator.http.errors import first_error, status_of
from log_aggregator.http.server import CLIENT_GONE
from log_aggregator.logql.errors import ParseError
from log_aggregator.logql.parser import parse_expr
from log_aggregator.services.blocked_queries import query_hash, query_type
from log_aggregator.services.parsing import SHORT
from log_aggregator.services.queries import Answer, InstantVector, Matrix, Scalar, Streams
from log_aggregator.services.query_context import QueryContext
from log_aggregator.services.statistics import ScanStatistics

logger = logging.getLogger(__name__)

_SECOND_NS = 1_000_000_000
_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250)
_BYTES = tuple(float(1 << shift) for shift in range(20, 40, 2))
# A query that takes longer is slow, in the words of the `latency` field and of the metrics, as in Loki.
_SLOW_SECONDS = 10.0

RangeType = Literal["instant", "range"]


@dataclass(slots=True)
class Watched:
    """What is asked, and the answer once there is one. Times in nanoseconds; an instant query has no length."""

    tenant: str
    text: str
    range_type: RangeType
    context: QueryContext
    start_ns: int
    end_ns: int
    step_ns: int
    limit: int
    answer: Answer | None = None


class QueryLog:
    """`slow_seconds`: queries that take longer are warned of; 0 for none."""

    def __init__(self, registry: CollectorRegistry, slow_seconds: float) -> None:
        self._slow_seconds = slow_seconds
        labels = ["status_code", "type", "range", "latency_type"]
        self._latency = Histogram(
            "loki_logql_querystats_latency_seconds", "Time of queries", labels, buckets=_SECONDS, registry=registry
        )
        self._speed = Histogram(
            "loki_logql_querystats_bytes_processed_per_seconds",
            "Bytes of text that queries looked at in a second",
            labels,
            buckets=_BYTES,
            registry=registry,
        )
        self._bytes = Counter(
            "loki_logql_querystats_bytes_processed",
            "Bytes of text that queries looked at",
            ["status_code", "type", "range"],
            registry=registry,
        )

    @contextmanager
    def watching(self, query: Watched) -> Iterator[None]:
        """Logs the query when the block ends, however it ends."""
        begun = time.perf_counter()
        status, error = 200, ""
        try:
            yield
        except asyncio.CancelledError:
            status, error = CLIENT_GONE, "the request was cancelled by the client"
            raise
        except Exception as raised:
            status, error = _status_and_text(first_error(raised))
            raise
        finally:
            self._record(query, time.perf_counter() - begun, status, error)

    def _record(self, query: Watched, seconds: float, status: int, error: str) -> None:
        kind, read = _type(query), _statistics(query.answer)
        latency = "slow" if seconds > _SLOW_SECONDS else "fast"
        labels = (str(status), kind, query.range_type, latency)
        self._latency.labels(*labels).observe(seconds)
        if read.text_bytes:
            self._speed.labels(*labels).observe(read.text_bytes / max(seconds, 1e-9))
            self._bytes.labels(*labels[:3]).inc(read.text_bytes)
        fields = {
            "org_id": query.tenant,
            "latency": latency,
            "query": query.text,
            "query_hash": query_hash(query.text),
            "query_type": kind,
            "range_type": query.range_type,
            "length": f"{(query.end_ns - query.start_ns) / _SECOND_NS:g}s",
            "step": f"{query.step_ns / _SECOND_NS:g}s",
            "limit": query.limit,
            "duration": f"{seconds:.6f}s",
            "status": status,
            "returned_lines": _returned(query.answer),
            "total_lines": read.lines,
            "post_filter_lines": read.kept_lines,
            "total_bytes": read.text_bytes,
            "store_bytes": read.store_bytes,
            **{f"tag_{name}": value for name, value in query.context.tags.items()},
            **({"error": error} if error else {}),
        }
        if self._slow_seconds and seconds > self._slow_seconds:
            logger.warning("slow query", extra=fields)
        else:
            logger.info("query", extra=fields)


def _status_and_text(error: BaseException) -> tuple[int, str]:
    return status_of(error) if isinstance(error, LogAggregatorError) else 500, str(error)


def _type(query: Watched) -> str:
    if isinstance(query.answer, Scalar | InstantVector | Matrix):
        return "metric"
    if len(query.text) > SHORT:  # to read it once more would keep others waiting, for a word in the log
        return ""
    try:
        return query_type(parse_expr(query.text))
    except ParseError:
        return ""


def _statistics(answer: Answer | None) -> ScanStatistics:
    match answer:
        case Streams() | Matrix() | InstantVector():
            return answer.statistics
        case Scalar() | None:
            return ScanStatistics()


def _returned(answer: Answer | None) -> int:
    return len(answer.rows) if isinstance(answer, Streams) else 0
