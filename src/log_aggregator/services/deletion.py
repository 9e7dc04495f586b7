"""Delete requests: kept in the store, effective on every replica with its next query, carried out by compaction.

States and messages are Loki's.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Final

from prometheus_client import CollectorRegistry, Counter

from log_aggregator.clock import Clock
from log_aggregator.errors import ErrorCode, LogAggregatorError
from log_aggregator.formats.delete_request import (
    DeleteProgress,
    DeleteRequest,
    decode_progress,
    decode_request,
    encode_progress,
    encode_request,
)
from log_aggregator.formats.keys import (
    DELETE_PROGRESS_SUFFIX,
    DELETE_REQUEST_SUFFIX,
    delete_progress_key,
    delete_request_key,
    deletes_prefix,
)
from log_aggregator.logql.ast import LogExpr
from log_aggregator.logql.errors import ParseError
from log_aggregator.logql.parser import parse_expr
from log_aggregator.model.limits import Limits
from log_aggregator.model.lru import SizedLru
from log_aggregator.model.quantity import format_duration
from log_aggregator.services.hidden_rows import Deletion, HiddenRows, deletion_of
from log_aggregator.services.retention import Retention
from log_aggregator.storage.errors import ObjectNotFound
from log_aggregator.storage.store import ObjectStore
from log_aggregator.wal.marks import Marks

_SECOND_NS: Final = 1_000_000_000
_EVERY_STREAM: Final = "{}"
# What was deleted stays hidden for so long after it is gone, in case that a paused process brings a row of it back.
_HIDDEN_AFTERWARDS_NS: Final = 24 * 3600 * _SECOND_NS
# What was read is read again after this time, should Redis have come back with an older mark.
_KEPT_NS: Final = 60 * _SECOND_NS
_CONCURRENT_GETS: Final = 8
_CACHE_BYTES: Final = 16 << 20
_REQUEST_BYTES: Final = 4096


class DeletionMetrics:
    """Loki's names. See docs/metrics.md."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.received = Counter(
            "loki_compactor_delete_requests_received_total", "Delete requests made", ["user"], registry=registry
        )


class InvalidDeleteRequest(LogAggregatorError):
    code: ClassVar[ErrorCode] = ErrorCode.INVALID


class DeletionDisabled(LogAggregatorError):
    code: ClassVar[ErrorCode] = ErrorCode.FORBIDDEN

    def __init__(self) -> None:
        super().__init__("deletion is not available for this tenant")


class NoSuchRequest(LogAggregatorError):
    code: ClassVar[ErrorCode] = ErrorCode.NOT_FOUND

    def __init__(self) -> None:
        super().__init__("could not find delete request with given id")


class NotCancellable(LogAggregatorError):
    code: ClassVar[ErrorCode] = ErrorCode.INVALID


@dataclass(frozen=True, slots=True)
class KnownRequest:
    """A delete request, and how far it has come."""

    request: DeleteRequest
    progress: DeleteProgress

    @property
    def is_processed(self) -> bool:
        return self.progress.processed_ns > 0


@dataclass(frozen=True, slots=True)
class _Read:
    """What was in the store when the mark was this."""

    mark: str
    read_ns: int
    requests: tuple[KnownRequest, ...] = field(repr=False)


def parse_deletion_query(text: str) -> LogExpr | None:
    """None for `{}`, every stream. Raises InvalidDeleteRequest."""
    if text.replace(" ", "") == _EVERY_STREAM:
        return None
    try:
        expr = parse_expr(text)
    except ParseError as error:
        raise InvalidDeleteRequest("invalid query expression") from error
    if not isinstance(expr, LogExpr):
        raise InvalidDeleteRequest("invalid query expression")
    return expr


class Deletions:
    """Raises the store's errors, WalUnavailable, WalFull, CorruptData."""

    def __init__(
        self,
        store: ObjectStore,
        marks: Marks,
        limits_of: Callable[[str], Limits],
        clock: Clock,
        metrics: DeletionMetrics,
        cancel_period_ns: int,
    ) -> None:
        self._store = store
        self._marks = marks
        self._limits_of = limits_of
        self._clock = clock
        self._metrics = metrics
        self._cancel_period_ns = cancel_period_ns
        self._read: dict[str, _Read] = {}
        self._compiled: SizedLru[DeleteRequest, Deletion] = SizedLru(_CACHE_BYTES)

    async def add(self, tenant: str, query: str, start_ns: int, end_ns: int) -> DeleteRequest:
        """Raises InvalidDeleteRequest, DeletionDisabled."""
        self._check_mode(tenant)
        parse_deletion_query(query)
        now_ns, redis_ms = self._clock.now_ns(), await self._marks.now_ms()
        request = DeleteRequest(secrets.token_hex(4), now_ns, start_ns, end_ns, query, redis_ms)
        await self._store.put(delete_request_key(tenant, request.request_id), encode_request(request))
        await self._marks.renew(tenant)
        self._metrics.received.labels(tenant).inc()
        return request

    async def requests(self, tenant: str) -> list[KnownRequest]:
        """In the order of their creation. Raises DeletionDisabled."""
        self._check_mode(tenant)
        return list(await self._known(tenant))

    async def cancel(self, tenant: str, request_id: str, *, force: bool) -> None:
        """Raises NoSuchRequest, NotCancellable, DeletionDisabled."""
        self._check_mode(tenant)
        known = next((one for one in await self._stored(tenant) if one.request.request_id == request_id), None)
        if known is None:
            raise NoSuchRequest
        if known.is_processed:
            raise NotCancellable("deletion of request which is in process or already processed is not allowed")
        if not force and (known.progress.percent or self.is_due(known.request)):
            raise NotCancellable(
                "Cancellation of partially completed delete request or delete request past the deadline of "
                f"{format_duration(self._cancel_period_ns)} since its creation is not allowed. "
                "To force, use the ?force query parameter"
            )
        keys = [delete_request_key(tenant, request_id), delete_progress_key(tenant, request_id)]
        await self._store.delete(keys)
        await self._marks.renew(tenant)

    async def pending(self, tenant: str) -> list[KnownRequest]:
        """Those that are not carried out yet, and that compaction is to carry out some day."""
        if self._limits_of(tenant).deletion_mode != "filter-and-delete":
            return []
        return [one for one in await self._stored(tenant) if not one.is_processed]

    def is_due(self, request: DeleteRequest) -> bool:
        """Whether it can no longer be cancelled."""
        return request.created_ns + self._cancel_period_ns <= self._clock.now_ns()

    async def note(self, tenant: str, request: DeleteRequest, progress: DeleteProgress) -> None:
        """Remembers how far a deletion has come."""
        await self._store.put(delete_progress_key(tenant, request.request_id), encode_progress(progress))
        await self._marks.renew(tenant)

    async def effective(self, tenant: str) -> tuple[Deletion, ...]:
        """What queries must not see."""
        if self._limits_of(tenant).deletion_mode == "disabled":
            return ()
        now_ns = self._clock.now_ns()
        return tuple(
            self.compiled(known.request)
            for known in await self._known(tenant)
            if not known.is_processed or now_ns - known.progress.processed_ns < _HIDDEN_AFTERWARDS_NS
        )

    def compiled(self, request: DeleteRequest) -> Deletion:
        deletion = self._compiled.get(request)
        if deletion is None:
            deletion = deletion_of(request, parse_deletion_query(request.query))
            self._compiled.put(request, deletion, _REQUEST_BYTES)
        return deletion

    def _check_mode(self, tenant: str) -> None:
        if self._limits_of(tenant).deletion_mode == "disabled":
            raise DeletionDisabled

    async def _known(self, tenant: str) -> tuple[KnownRequest, ...]:
        mark, now_ns = await self._marks.get(tenant), self._clock.now_ns()
        read = self._read.get(tenant)
        if read is None or read.mark != mark or now_ns - read.read_ns >= _KEPT_NS:
            read = self._read[tenant] = _Read(mark, now_ns, await self._stored(tenant))
        return read.requests

    async def _stored(self, tenant: str) -> tuple[KnownRequest, ...]:
        keys = [meta.key async for meta in self._store.list(deletes_prefix(tenant))]
        slots = asyncio.Semaphore(_CONCURRENT_GETS)

        async def known(key: str) -> KnownRequest | None:
            progress_key = key.removesuffix(DELETE_REQUEST_SUFFIX) + DELETE_PROGRESS_SUFFIX
            try:
                async with slots:
                    request = decode_request(key, await self._store.get(key))
                    if progress_key not in keys:
                        return KnownRequest(request, DeleteProgress())
                    return KnownRequest(request, decode_progress(progress_key, await self._store.get(progress_key)))
            except ObjectNotFound:
                return None  # cancelled since the listing

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(known(key)) for key in keys if key.endswith(DELETE_REQUEST_SUFFIX)]
        found = [one for task in tasks if (one := task.result()) is not None]
        return tuple(sorted(found, key=lambda one: one.request.created_ns))


class Hidden:
    """What of each tenant is hidden now. Call it."""

    def __init__(self, deletions: Deletions, limits_of: Callable[[str], Limits], clock: Clock) -> None:
        """Raises ParseError where a selector of `retention_stream` cannot be read."""
        Retention(limits_of(""))  # of tenants without limits of their own: better now than with each query
        self._deletions = deletions
        self._limits_of = limits_of
        self._clock = clock
        self._retention: dict[str, tuple[Limits, Retention | None]] = {}

    async def __call__(self, tenant: str) -> HiddenRows | None:
        """None if nothing is. Raises what `Deletions` raises."""
        deletions, retention = await self._deletions.effective(tenant), self.retention(tenant)
        if not deletions and retention is None:
            return None
        return HiddenRows(deletions, retention, self._clock.now_ns())

    def retention(self, tenant: str) -> Retention | None:
        """None if the tenant's entries are kept for ever."""
        limits = self._limits_of(tenant)
        known = self._retention.get(tenant)
        if known is None or known[0] is not limits:
            compiled = Retention(limits)
            known = self._retention[tenant] = (limits, None if compiled.is_endless else compiled)
        return known[1]
