"""Metrics of a store under the names that Loki's dashboards know. See docs/metrics.md."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from log_aggregator.clock import Clock
from log_aggregator.errors import LogAggregatorError
from log_aggregator.storage.errors import (
    InvalidKey,
    ObjectExists,
    ObjectNotFound,
    RangeOutsideObject,
    StorePermissionDenied,
    StoreRefused,
    StoreUnavailable,
)
from log_aggregator.storage.operations import Operation
from log_aggregator.storage.store import ByteRange, ObjectMeta, ObjectStore

_SECONDS = (0.001, 0.01, 0.1, 0.3, 0.6, 1, 3, 6, 9, 20, 30, 60, 90, 120)
_BYTES = tuple(float(1 << shift) for shift in range(15, 31))
_SECOND_NS = 1_000_000_000


class Reason(StrEnum):
    """Why an operation failed."""

    UNAVAILABLE = "unavailable"
    PERMISSION_DENIED = "permission_denied"
    REFUSED = "refused"
    INVALID = "invalid"
    OTHER = "other"


_REASONS: dict[type[LogAggregatorError], Reason] = {
    StoreUnavailable: Reason.UNAVAILABLE,
    StorePermissionDenied: Reason.PERMISSION_DENIED,
    StoreRefused: Reason.REFUSED,
    InvalidKey: Reason.INVALID,
    RangeOutsideObject: Reason.INVALID,
}
# They tell something about the object, not that the store failed.
_ANSWERS = (ObjectNotFound, ObjectExists)


class StoreMetrics:
    """Of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ["bucket", "operation"]
        self.operations = Counter(
            "loki_objstore_bucket_operations_total", "Operations attempted on a bucket", labels, registry=registry
        )
        self.failures = Counter(
            "loki_objstore_bucket_operation_failures_total",
            "Operations that failed; that an object is missing or exists already is no failure",
            [*labels, "reason"],
            registry=registry,
        )
        self.seconds = Histogram(
            "loki_objstore_bucket_operation_duration_seconds",
            "Time of an operation, of iter with what the caller did meanwhile",
            labels,
            buckets=_SECONDS,
            registry=registry,
        )
        self.fetched_bytes = Counter(
            "loki_objstore_bucket_operation_fetched_bytes_total", "Bytes read", labels, registry=registry
        )
        self.transferred_bytes = Histogram(
            "loki_objstore_bucket_operation_transferred_bytes",
            "Bytes read or written by one operation",
            labels,
            buckets=_BYTES,
            registry=registry,
        )
        self.last_upload = Gauge(
            "loki_objstore_bucket_last_successful_upload_time",
            "Seconds since the epoch",
            ["bucket"],
            registry=registry,
            multiprocess_mode="max",
        )


class Metered:
    """Counts and times every operation under the bucket's name."""

    def __init__(self, store: ObjectStore, bucket: str, metrics: StoreMetrics, clock: Clock) -> None:
        self._store = store
        self._bucket = bucket
        self._metrics = metrics
        self._clock = clock

    async def get(self, key: str, byte_range: ByteRange | None = None) -> bytes:
        operation = Operation.GET if byte_range is None else Operation.GET_RANGE
        with self._measured(operation):
            data = await self._store.get(key, byte_range)
        self._metrics.fetched_bytes.labels(self._bucket, operation).inc(len(data))
        self._metrics.transferred_bytes.labels(self._bucket, operation).observe(len(data))
        return data

    async def head(self, key: str) -> ObjectMeta:
        with self._measured(Operation.ATTRIBUTES):
            return await self._store.head(key)

    async def put(self, key: str, data: bytes | memoryview, *, if_absent: bool = False) -> None:
        with self._measured(Operation.UPLOAD):
            await self._store.put(key, data, if_absent=if_absent)
        self._metrics.transferred_bytes.labels(self._bucket, Operation.UPLOAD).observe(len(data))
        self._metrics.last_upload.labels(self._bucket).set(self._clock.now_ns() / _SECOND_NS)

    async def delete(self, keys: Sequence[str]) -> None:
        with self._measured(Operation.DELETE):
            await self._store.delete(keys)

    async def list_prefixes(self, prefix: str) -> Sequence[str]:
        with self._measured(Operation.ITER):
            return await self._store.list_prefixes(prefix)

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectMeta]:
        with self._measured(Operation.ITER):
            async for meta in self._store.list(prefix, after=after):
                yield meta

    async def close(self) -> None:
        await self._store.close()

    @contextmanager
    def _measured(self, operation: Operation) -> Iterator[None]:
        self._metrics.operations.labels(self._bucket, operation).inc()
        started = self._clock.monotonic_seconds()
        try:
            yield
        except LogAggregatorError as error:
            if not isinstance(error, _ANSWERS):
                reason = _REASONS.get(type(error), Reason.OTHER)
                self._metrics.failures.labels(self._bucket, operation, reason).inc()
            raise
        finally:
            self._metrics.seconds.labels(self._bucket, operation).observe(self._clock.monotonic_seconds() - started)
