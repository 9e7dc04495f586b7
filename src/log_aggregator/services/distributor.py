"""A push from decoded streams to the write-ahead log: validation, quotas, ingestion, and what to answer."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import ClassVar, Literal, NamedTuple

import polars as pl
from prometheus_client import CollectorRegistry, Counter, Histogram

from log_aggregator.clock import Clock
from log_aggregator.errors import ErrorCode, LogAggregatorError
from log_aggregator.formats.push_errors import PushTooLarge
from log_aggregator.model.limits import Limits
from log_aggregator.model.push import Push, PushStream
from log_aggregator.model.segment import STREAM, Segment, text_bytes_of_rows
from log_aggregator.services import push_messages as messages
from log_aggregator.services.decoding import Decode, Decoding
from log_aggregator.services.gathering import SMALL_BYTES, DecodeStreams, Gathering
from log_aggregator.services.ingester import Ingester
from log_aggregator.services.quotas import Quotas
from log_aggregator.services.refusals import Reason
from log_aggregator.services.validation import AcceptedBatch, Validated, accepted_whole, validate
from log_aggregator.wal.errors import WalFull

Format = Literal["json", "protobuf", "otlp"]
LimitsOf = Callable[[str], Limits]

_LINE_BYTES = tuple(float(1 << shift) for shift in range(4, 20))
_HOUR_NS = 3600 * 1_000_000_000
# Of one push, 10 us each: others wait meanwhile, in Redis too.
_STREAMS_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class PushBody:
    """What was sent, and how to decode it."""

    sent_bytes: int
    decode: Decode
    decode_streams: DecodeStreams


class _Source(NamedTuple):
    tenant: str
    form: Format


class PushRejected(LogAggregatorError):
    """Some entries are not stored, for a reason that does not go away. All others are stored."""

    code: ClassVar[ErrorCode] = ErrorCode.INVALID

    def __init__(self, message: str, *, refused_lines: int, stored_lines: int) -> None:
        super().__init__(message)
        self.refused_lines = refused_lines
        self.stored_lines = stored_lines


class PushLimited(LogAggregatorError):
    """Some or all entries are not stored because a quota is used up for now."""

    code: ClassVar[ErrorCode] = ErrorCode.RATE_LIMITED


class DistributorMetrics:
    """Loki's names, and the seed's for received lines."""

    def __init__(self, registry: CollectorRegistry) -> None:
        received = ["tenant", "retention_hours", "policy", "format", "is_internal_stream"]
        self.bytes_received = Counter(
            "loki_distributor_bytes_received_total", "Bytes of lines received", received, registry=registry
        )
        self.lines_received = Counter(
            "loki_distributor_lines_received_total", "Lines received", received, registry=registry
        )
        self.received_lines = Counter(
            "loki_distributor_received_lines_total", "Lines received, by tenant", ["tenant"], registry=registry
        )
        discarded = ["reason", "tenant", "retention_hours", "policy", "format"]
        self.discarded_samples = Counter(
            "loki_discarded_samples_total", "Lines refused, by reason", discarded, registry=registry
        )
        self.discarded_bytes = Counter(
            "loki_discarded_bytes_total", "Bytes refused, by reason", discarded, registry=registry
        )
        mutated = ["reason", "tenant"]
        self.mutated_samples = Counter(
            "loki_mutated_samples_total", "Lines stored otherwise than sent, by reason", mutated, registry=registry
        )
        self.mutated_bytes = Counter(
            "loki_mutated_bytes_total",
            "Bytes of lines not stored as they were sent, by reason",
            mutated,
            registry=registry,
        )
        self.bytes_per_line = Histogram(
            "loki_bytes_per_line",
            "Mean bytes of a line, by what is stored at a time",
            buckets=_LINE_BYTES,
            registry=registry,
        )
        self.wal_full = Counter(
            "loki_ingester_wal_disk_full_failures_total", "Pushes refused because Redis was full", registry=registry
        )


class Distributor:
    """`push` raises PushError, PushRejected, PushLimited, IngestionBlocked, BufferFull, WalUnavailable, WalFull."""

    def __init__(
        self,
        decoding: Decoding,
        ingester: Ingester,
        quotas: Quotas,
        limits_of: LimitsOf,
        clock: Clock,
        metrics: DistributorMetrics,
        max_errors: int,
    ) -> None:
        self._decoding = decoding
        self._gathering = Gathering(ingester.next_turn, self._stored_together, decoding.max_decompressed_bytes)
        self._ingester = ingester
        self._quotas = quotas
        self._limits_of = limits_of
        self._clock = clock
        self._metrics = metrics
        self._max_errors = max_errors

    async def push(self, tenant: str, body: PushBody, form: Format) -> None:
        """Returns when every entry is in the write-ahead log; otherwise says which are not."""
        source, limits = _Source(tenant, form), self._limits_of(tenant)

        def checked(push: Push) -> tuple[int, Validated]:
            return len(push.lines), validate(push, limits, self._clock.now_ns(), tenant)

        if body.sent_bytes <= SMALL_BYTES:
            try:
                streams = await self._gathering.run(source, body.decode_streams)
            except PushTooLarge:
                pass  # for the event loop
            else:
                if streams is not None:
                    await self._store(source, limits, *checked(Push.of(streams)))
                return
        await self._store(source, limits, *await self._decoding.run(tenant, body.decode, body.sent_bytes, checked))

    async def _store(self, source: _Source, limits: Limits, lines: int, validated: Validated) -> None:
        tenant = source.tenant
        count = _Counting(self._metrics, source, limits)
        count.validated(validated)
        try:
            batch, refused = await self._within_quotas(tenant, limits, validated.accepted, count)
            if batch.lines:
                await self._ingester.push(tenant, Segment(tuple(batch.streams), batch.frame), batch.bytes)
        except WalFull:  # the quotas, which are counted in Redis too, may be what meets it first
            self._metrics.wal_full.inc()
            raise
        if validated.errors:
            raise PushRejected(
                validated.message(self._max_errors), refused_lines=lines - batch.lines, stored_lines=batch.lines
            )
        if validated.blocked is not None:
            raise validated.blocked
        if refused:
            raise PushLimited("\n".join(refused[: self._max_errors]))

    async def _stored_together(self, source: _Source, several: Sequence[list[PushStream]]) -> bool:
        """Whether all of the pushes could be stored as one. If not, nothing is, and each has to be looked at."""
        tenant, limits = source.tenant, self._limits_of(source.tenant)
        batch = accepted_whole(Push.of(list(chain.from_iterable(several))), limits, self._clock.now_ns())
        if batch is None:
            return False
        fits = True
        try:
            try:
                fits = await self._all_within_quotas(tenant, limits, batch)
            finally:
                if fits:  # or Redis does not say so, and lines that have been received are counted nevertheless
                    _Counting(self._metrics, source, limits).accepted(batch)
            if fits and batch.lines:
                await self._ingester.push(tenant, Segment(batch.streams, batch.frame), batch.bytes)
        except WalFull:
            self._metrics.wal_full.inc(len(several))
            raise
        return fits

    async def _all_within_quotas(self, tenant: str, limits: Limits, batch: AcceptedBatch) -> bool:
        """Whether all of it may be stored. If not, it counts for no rate, and its streams are those that may be active.

        That is what each push would find by itself then.
        """
        if not batch.lines:
            return True
        if not await self._quotas.admit_bytes(tenant, limits, batch.bytes):
            return False
        sizes = [share.bytes for share in batch.shares]
        if all(await self._entered(tenant, limits, batch)) and self._quotas.admit_all_stream_bytes(
            tenant, limits, batch.streams, sizes
        ):
            return True
        self._quotas.give_back_bytes(tenant, limits, batch.bytes)
        return False

    async def _entered(self, tenant: str, limits: Limits, batch: AcceptedBatch) -> list[bool]:
        """For each stream whether it may be active."""
        entered: list[bool] = []
        for start in range(0, len(batch.streams), _STREAMS_AT_ONCE):
            if start:
                await asyncio.sleep(0)  # what is known needs no answer from Redis
            entered += await self._quotas.admit_streams(tenant, limits, batch.streams[start : start + _STREAMS_AT_ONCE])
        return entered

    async def _within_quotas(
        self, tenant: str, limits: Limits, batch: AcceptedBatch, count: "_Counting"
    ) -> tuple[AcceptedBatch, list[str]]:
        """What may be stored, and the message for each stream that may not. Raises PushLimited for the whole push."""
        if not batch.lines:
            return batch, []
        if not await self._quotas.admit_bytes(tenant, limits, batch.bytes):
            count.discarded(Reason.RATE_LIMITED, batch.lines, batch.bytes)
            limit = int(limits.ingestion_rate_mb * (1 << 20))
            raise PushLimited(messages.rate_limited(tenant, limit, batch.lines, batch.bytes))
        # All of them before any bytes of a stream are counted: Redis may fail midway, and the client tries again.
        entered = await self._entered(tenant, limits, batch)
        refused: dict[int, str] = {}
        shares = zip(batch.streams, batch.shares, entered, strict=True)
        for number, (labels, (lines, size, last_ns), admitted) in enumerate(shares):
            if number and not number % _STREAMS_AT_ONCE:
                await asyncio.sleep(0)
            if not admitted:
                refused[number] = messages.stream_limit_exceeded(labels, tenant)
                count.discarded(Reason.STREAM_LIMIT, lines, size)
            elif not self._quotas.admit_stream_bytes(tenant, limits, labels, size):
                refused[number] = messages.stream_rate_limited(
                    labels, last_ns, limits.per_stream_rate_limit, lines, size, tenant
                )
                count.discarded(Reason.STREAM_RATE_LIMIT, lines, size)
        return (_without(batch, list(refused)) if refused else batch), list(refused.values())


class _Counting:
    """The counters of what was pushed at a time."""

    def __init__(self, metrics: DistributorMetrics, source: _Source, limits: Limits) -> None:
        self._metrics = metrics
        self._tenant, self._form = source
        self._hours = str(limits.retention_period // _HOUR_NS) if limits.retention_period else ""

    def validated(self, validated: Validated) -> None:
        lines, size = validated.accepted.lines, validated.accepted.bytes
        for reason, (bad_lines, bad_bytes) in validated.discarded.items():
            self.discarded(reason, bad_lines, bad_bytes)
            lines, size = lines + bad_lines, size + bad_bytes
        self._received(lines, size)
        if validated.truncated_lines:
            labels = (Reason.LINE_TOO_LONG, self._tenant)
            self._metrics.mutated_samples.labels(*labels).inc(validated.truncated_lines)
            self._metrics.mutated_bytes.labels(*labels).inc(validated.truncated_bytes)

    def accepted(self, batch: AcceptedBatch) -> None:
        self._received(batch.lines, batch.bytes)

    def _received(self, lines: int, size: int) -> None:
        if not lines:
            return
        self._metrics.bytes_received.labels(self._tenant, self._hours, "", self._form, "false").inc(size)
        self._metrics.lines_received.labels(self._tenant, self._hours, "", self._form, "false").inc(lines)
        self._metrics.received_lines.labels(self._tenant).inc(lines)
        self._metrics.bytes_per_line.observe(size / lines)

    def discarded(self, reason: Reason, lines: int, size: int) -> None:
        labels = (reason, self._tenant, self._hours, "", self._form)
        self._metrics.discarded_samples.labels(*labels).inc(lines)
        self._metrics.discarded_bytes.labels(*labels).inc(size)


def _without(batch: AcceptedBatch, refused: Sequence[int]) -> AcceptedBatch:
    kept = batch.frame.filter(~pl.col(STREAM).is_in(refused))
    size = int(kept.select(text_bytes_of_rows().sum()).item() or 0)
    return replace(batch, frame=kept, lines=kept.height, bytes=size)
