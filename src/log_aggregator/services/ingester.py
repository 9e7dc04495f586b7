"""From accepted entries to durable segments: group commit, the buffer, and when to flush it.

Pushes that arrive while an append is under way form the next segments, so that one append and one fsync serve many
pushes under load, and a lone push waits for nothing.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from log_aggregator.clock import Clock, timeout
from log_aggregator.errors import LogAggregatorError, failures_of
from log_aggregator.formats.wal_record import (
    Columns,
    RecordHeader,
    WalRecord,
    decode_record,
    encode_record,
    record_of,
    segment_of,
)
from log_aggregator.model.labels import Labels
from log_aggregator.model.position import Position
from log_aggregator.model.segment import Segment, joined
from log_aggregator.services.buffer_room import BufferRoom
from log_aggregator.services.flush import Flusher, LogRecord
from log_aggregator.services.record_memory import is_small, memory_bytes
from log_aggregator.services.tail import Tail, TailRecord
from log_aggregator.services.write_metrics import WriteMetrics
from log_aggregator.wal.errors import Fenced, HeadMoved, RecordsLost, WalUnavailable
from log_aggregator.wal.log import Lease, WriteAheadLogs

logger = logging.getLogger(__name__)

# One group commit is one record a tenant; larger groups would only make the first push in it wait.
_GROUP_TEXT_BYTES = 8 << 20
# To wake a thread takes longer than to encode so much.
_TINY_GROUP_BYTES = 512 << 10
# While one group is being appended, the next is being encoded.
_CONCURRENT_GROUPS = 2
_TICK_SECONDS = 1.0
# A flush sorts and compresses copies of what it writes, some twice its size: of so much, or a part of the buffer.
_SLICE_BYTES = 160 << 20
_SLICES_OF_BUFFER = 3
_RECORDS_PER_READ = 16
# Queries pay for each part of what they read.
_MOST_RECORDS = 16_384
# A chunk is a row group here, and one object with few row groups is not worth a request.
_CHUNKS_PER_FLUSH = 16


class FlushReason(StrEnum):
    """Loki's words for why a chunk was flushed."""

    IDLE = "idle"
    MAX_AGE = "max_age"
    FULL = "full"
    FORCED = "forced"


@dataclass(frozen=True, slots=True)
class FlushPolicy:
    """When unflushed entries are written to the store. Times in nanoseconds, sizes in bytes."""

    chunk_idle_period_ns: int
    max_chunk_age_ns: int
    chunk_target_bytes: int  # compressed
    max_buffer_bytes: int  # in memory
    max_wait_seconds: float  # of a push, for room in the buffer

    def reason(self, buffer: "_Buffer", now_ns: int) -> FlushReason | None:
        if not buffer.records:
            return None
        if buffer.encoded_bytes >= _CHUNKS_PER_FLUSH * self.chunk_target_bytes:
            return FlushReason.FULL
        if buffer.memory_bytes >= self.max_buffer_bytes // 2 or len(buffer.records) >= _MOST_RECORDS:
            return FlushReason.FULL
        if now_ns - buffer.oldest_ns >= self.max_chunk_age_ns:
            return FlushReason.MAX_AGE
        if now_ns - buffer.newest_ns >= self.chunk_idle_period_ns:
            return FlushReason.IDLE
        return None


@dataclass(slots=True)
class _Push:
    tenant: str
    segment: Segment
    text_bytes: int
    memory_bytes: int
    done: "asyncio.Future[None]"


@dataclass(frozen=True, slots=True)
class _Formed:
    """A segment ready to append, and what of it is to stay in memory."""

    header: RecordHeader
    columns: Columns = field(repr=False)
    encoded: bytes = field(repr=False)


class _Buffer:
    """What stands in our log, in the same order."""

    def __init__(self) -> None:
        self.records: list[LogRecord] = []
        self.text_bytes = 0
        self.memory_bytes = 0
        self.memory_bytes_of: Counter[str] = Counter()
        self.encoded_bytes = 0
        self.oldest_ns = 0
        self.newest_ns = 0
        self._streams: dict[str, set[Labels]] = {}
        self._counted = 0

    def add(self, record: LogRecord, encoded_bytes: int, now_ns: int) -> None:
        if not self.records:
            self.oldest_ns = now_ns
        self.newest_ns = now_ns
        self._count(record)
        self.encoded_bytes += encoded_bytes

    def _count(self, record: LogRecord) -> None:
        self.records.append(record)
        self.text_bytes += record.text_bytes
        self.memory_bytes += record.memory_bytes
        self.memory_bytes_of[record.tenant] += record.memory_bytes

    def streams(self) -> dict[str, int]:
        """How many each tenant has. Looks at what came since it was last asked; for one thread at a time."""
        fresh = self.records[self._counted :]
        for record in fresh:
            self._streams.setdefault(record.tenant, set()).update(record.columns.streams)
        self._counted += len(fresh)
        return {tenant: len(streams) for tenant, streams in self._streams.items()}

    def without(self, count: int, flushed_ns: int) -> "_Buffer":
        """What remains of it after a flush of the oldest records that began at `flushed_ns`."""
        kept = _Buffer()
        for record in self.records[count:]:
            kept._count(record)
        kept.encoded_bytes = self.encoded_bytes * kept.text_bytes // max(self.text_bytes, 1)
        kept.oldest_ns, kept.newest_ns = flushed_ns, self.newest_ns
        return kept


class Ingester:
    """Owns one write-ahead log at a time. `push` raises BufferFull, WalUnavailable, WalFull."""

    def __init__(
        self,
        logs: WriteAheadLogs,
        flusher: Flusher,
        tail: Tail,
        policy: FlushPolicy,
        clock: Clock,
        metrics: WriteMetrics,
        holder: str,
    ) -> None:
        self._logs = logs
        self._flusher = flusher
        self._tail = tail
        self._policy = policy
        self._clock = clock
        self._metrics = metrics
        self._holder = holder
        self._lease: Lease | None = None
        self._buffer = _Buffer()
        self._head: Position | None = None  # the newest record of our log that we know
        self._waiting: list[_Push] = []
        self._waiting_bytes: Counter[str] = Counter()  # by tenant, until they are appended
        self._pushed = asyncio.Event()
        self._groups = asyncio.Semaphore(_CONCURRENT_GROUPS)
        self._tiny_groups = 0  # that are being committed
        self._committed = asyncio.Event()  # a tiny group; another event for each
        self._appending = asyncio.Lock()
        self._flushing = asyncio.Lock()
        self._check = asyncio.Event()
        self._room = BufferRoom(policy.max_buffer_bytes, self._used_bytes, policy.max_wait_seconds, self._check)
        self._streams_shown: dict[str, int] = {}  # by tenant, as the metric has it
        self._flush_requests = 0

    @property
    def wal(self) -> str | None:
        """The log that this ingester holds."""
        return self._lease.wal if self._lease else None

    async def start(self) -> None:
        """Opens a log. Raises WalUnavailable, WalFull."""
        self._flush_requests = await self._logs.flush_requests()
        self._lease = await self._logs.open(self._holder)

    async def push(self, tenant: str, segment: Segment, text_bytes: int) -> None:
        """Returns when the entries are in the write-ahead log. The segment is not empty."""
        if self._lease is None:
            raise WalUnavailable("the write-ahead log is not open yet")
        size = memory_bytes(segment, text_bytes)
        await self._room.wait(tenant, size)
        push = _Push(tenant, segment, text_bytes, size, asyncio.get_running_loop().create_future())
        self._waiting.append(push)
        self._waiting_bytes[tenant] += size
        self._pushed.set()
        await push.done

    async def next_turn(self) -> None:
        """Returns when it is time to put small pushes together: while a tiny group is committed, more of them come.

        Nobody waits for large groups, beside which small pushes cost little.
        """
        if self._tiny_groups:
            await self._committed.wait()

    async def run(self) -> None:
        """Commits, keeps the lease, flushes. Runs until cancelled; then call `stop`."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._commit_groups(group))
            group.create_task(self._keep_lease())
            group.create_task(self._flush_when_due())

    async def stop(self, deadline_seconds: float) -> None:
        """Flushes what is left, or leaves it in the log for any other replica. Call when no push is under way."""
        try:
            async with timeout(deadline_seconds):
                await self.flush(FlushReason.FORCED)
        except* TimeoutError:
            logger.warning("flush at stop took too long, the log is handed over")
        except* LogAggregatorError as group:
            for error in failures_of(group):
                logger.warning("flush at stop failed, the log is handed over", extra={"error": str(error)})
        if self._lease is not None:
            await self._give_up(self._lease)
            self._lease = None

    async def flush(self, reason: FlushReason) -> None:
        """Writes all that is buffered now. Raises groups of the store's errors, WalUnavailable, Fenced, RecordsLost."""
        async with self._flushing:
            last = self._buffer.records[-1].position if self._buffer.records else None
            while last is not None and (lease := self._lease) and (records := self._oldest(last)):
                await self._flush_slice(lease, records, reason)

    def _oldest(self, last: Position) -> list[LogRecord]:
        """The oldest records up to a position, no more than are to be in memory twice."""
        most = min(_SLICE_BYTES, self._policy.max_buffer_bytes // _SLICES_OF_BUFFER)
        records: list[LogRecord] = []
        size = 0
        for record in self._buffer.records:
            if record.position > last or (records and size + record.memory_bytes > most):
                break
            records.append(record)
            size += record.memory_bytes
        return records

    async def _flush_slice(self, lease: Lease, records: Sequence[LogRecord], reason: FlushReason) -> None:
        begun, begun_ns = self._clock.monotonic_seconds(), self._clock.now_ns()
        try:
            result = await self._flusher.flush(lease, records)
        except RecordsLost:
            async with self._appending:
                await self._reopen(lease, has_lost=True)
            raise
        except Exception:
            self._room.will_not_grow()
            raise
        self._metrics.flush_seconds.observe(self._clock.monotonic_seconds() - begun)
        self._metrics.wal_truncate_seconds.observe(result.commit_seconds)
        for chunk in result.chunks:
            self._metrics.chunks_created.inc()
            self._metrics.chunks_flushed.labels(reason).inc()
            self._metrics.chunk_size_bytes.observe(chunk.stored_bytes)
            self._metrics.chunk_entries.observe(chunk.entries)
        self._drop(lease, len(records), begun_ns)

    def _used_bytes(self, tenant: str) -> tuple[int, int]:
        waiting, buffer = self._waiting_bytes, self._buffer
        return waiting.total() + buffer.memory_bytes, waiting[tenant] + buffer.memory_bytes_of[tenant]

    # -- group commit -------------------------------------------------------

    async def _commit_groups(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            await self._pushed.wait()
            await self._groups.acquire()
            tasks.create_task(self._commit(self._take_group()))

    def _take_group(self) -> list[_Push]:
        size = taken = 0
        for push in self._waiting:
            if taken and size + push.text_bytes > _GROUP_TEXT_BYTES:
                break
            size, taken = size + push.text_bytes, taken + 1
        group, self._waiting = self._waiting[:taken], self._waiting[taken:]
        if not self._waiting:
            self._pushed.clear()
        return group

    async def _commit(self, group: list[_Push]) -> None:
        error: BaseException | None = None
        is_tiny = sum(push.memory_bytes for push in group) <= _TINY_GROUP_BYTES
        self._tiny_groups += is_tiny
        try:
            formed = _form(group) if is_tiny else await asyncio.to_thread(_form, group)
            async with self._appending:
                await self._append(formed)
        except LogAggregatorError as failure:
            error = failure
        except BaseException as failure:
            error = failure  # a push must never be acknowledged because something else went wrong
            raise
        finally:
            self._groups.release()
            if is_tiny:
                self._tiny_groups -= 1
                self._committed.set()
                self._committed = asyncio.Event()
            for push in group:
                self._waiting_bytes[push.tenant] -= push.memory_bytes
                if not self._waiting_bytes[push.tenant]:
                    del self._waiting_bytes[push.tenant]
                _settle(push.done, error)
            if error is not None:
                self._room.look_again()

    async def _append(self, formed: Sequence[_Formed]) -> None:
        assert self._lease is not None
        try:
            await self._append_once(formed)
        except HeadMoved:
            await self._catch_up()
            await self._append_once(formed)
        except Fenced:
            await self._reopen(self._lease)
            await self._append_once(formed)
        if self._policy.reason(self._buffer, self._clock.now_ns()) is not None:
            self._check.set()

    async def _append_once(self, formed: Sequence[_Formed]) -> None:
        assert self._lease is not None
        begun = self._clock.monotonic_seconds()
        positions = await self._logs.append(self._lease, self._head, [one.encoded for one in formed])
        self._metrics.wal_append_seconds.observe(self._clock.monotonic_seconds() - begun)
        for position, one in zip(positions, formed, strict=True):
            self._add(position, one.header, one.columns, len(one.encoded))

    def _add(self, position: Position, header: RecordHeader, columns: Columns, encoded_bytes: int) -> None:
        assert self._lease is not None
        self._buffer.add(LogRecord.of(position, header, columns), encoded_bytes, self._clock.now_ns())
        self._head = position
        self._tail.add_own([TailRecord(self._lease.wal, position, header, columns)])
        self._metrics.wal_records.inc()
        self._metrics.wal_bytes.inc(encoded_bytes)
        self._show_buffer()

    def _drop(self, lease: Lease, count: int, flushed_ns: int) -> None:
        """The oldest records are flushed."""
        if self._lease != lease:
            return
        self._tail.forget_own(lease.wal, self._buffer.records[count - 1].position)
        self._buffer = self._buffer.without(count, flushed_ns)
        self._show_buffer()
        self._room.grew()

    def _show_buffer(self) -> None:
        self._metrics.memory_chunks.set(len(self._buffer.records))
        self._metrics.buffer_bytes.set(self._buffer.text_bytes)

    async def _show_streams(self) -> None:
        """Now and then, in a thread: there may be many thousands."""
        streams = await asyncio.to_thread(self._buffer.streams)
        for tenant in self._streams_shown.keys() - streams.keys():
            self._metrics.memory_streams.labels(tenant).set(0)
        for tenant, count in streams.items() - self._streams_shown.items():
            self._metrics.memory_streams.labels(tenant).set(count)
        self._streams_shown = streams

    # -- the lease ----------------------------------------------------------

    async def _keep_lease(self) -> None:
        while True:
            await self._clock.sleep(self._logs.lease_seconds / 3)
            try:
                await self._renew()
            except LogAggregatorError as error:
                logger.warning("cannot keep the log", extra={"error": str(error)})

    async def _renew(self) -> None:
        lease = self._lease
        assert lease is not None
        try:
            head = await self._logs.renew(lease)
        except Fenced:
            async with self._appending:
                await self._reopen(lease)
            return
        if head != self._head:
            async with self._appending:
                await self._catch_up()

    async def _catch_up(self) -> None:
        """Takes in records of ours whose append seemed to fail. Nobody was told that they are durable, but they are.

        If instead Redis has lost records that it had confirmed, a new log is opened for them.
        """
        assert self._lease is not None
        head = await self._logs.head(self._lease.wal)
        if self._head is not None and (head is None or head < self._head):
            await self._reopen(self._lease)
            return
        while head is not None and (self._head is None or self._head < head):
            (found,) = await self._logs.read([(self._lease.wal, self._head)], _RECORDS_PER_READ)
            if not found:
                return  # the next holder has flushed them: our next step is fenced
            for position, data in found:
                record = await asyncio.to_thread(decode_record, data)
                self._add(position, record.header, await asyncio.to_thread(_kept, record), len(data))

    async def _reopen(self, old: Lease, *, has_lost: bool = False) -> None:
        """A new log, after the lease of the old one was lost or Redis came back with an older state of it.

        `has_lost` tells that it surely did, and its lists with it.

        Somebody will flush the old log: its records are not ours any more. Those that Redis has lost are in our memory
        only, and go into the new log.
        """
        if self._lease != old:
            return
        self._metrics.fenced.inc()
        buffer, head = self._buffer, self._head
        known = await self._logs.head(old.wal)
        lost = [record for record in buffer.records if known is None or record.position > known]
        # A log without records leaves no trace of whether somebody has taken it over or Redis has forgotten it.
        if has_lost or head is None or known is None or known < head:
            await self._logs.forget_lists()
        self._lease, self._buffer, self._head = await self._logs.open(self._holder), _Buffer(), None
        logger.warning("opened a new log", extra={"old": old.wal, "wal": self._lease.wal, "records_kept": len(lost)})
        try:
            for record in lost:
                await self._append_once([await asyncio.to_thread(_reform, record)])
        except LogAggregatorError:
            # So that the next attempt begins anew, with all of them.
            self._lease, self._buffer, self._head = old, buffer, head
            raise
        self._show_buffer()
        self._room.grew()
        await self._give_up(old)

    async def _give_up(self, lease: Lease) -> None:
        try:
            await self._logs.release(lease)
        except WalUnavailable as error:
            logger.warning("cannot release the log, its lease will run out", extra={"error": str(error)})

    # -- flushing -----------------------------------------------------------

    async def _flush_when_due(self) -> None:
        while True:
            await self._tick()
            await self._show_streams()
            reason = self._policy.reason(self._buffer, self._clock.now_ns())
            if await self._flush_requested():
                reason = FlushReason.FORCED
            if reason is None and self._room.is_lacking:
                reason = FlushReason.FULL
            if reason is None:
                continue
            pause_seconds = 0.0
            try:
                await self.flush(reason)
            except* LogAggregatorError as group:
                self._metrics.flush_failures.inc()
                for error in failures_of(group):
                    logger.warning("flush failed, will try again", extra={"error": str(error)})
                pause_seconds = _TICK_SECONDS
            # Not above: what is raised there, as a cancellation, comes out as a group in Python 3.11.2.
            if pause_seconds:
                await self._clock.sleep(pause_seconds)

    async def _tick(self) -> None:
        """Until a second has passed or the buffer may be full."""
        waiting = asyncio.ensure_future(self._check.wait())
        sleeping = asyncio.ensure_future(self._clock.sleep(_TICK_SECONDS))
        try:
            await asyncio.wait((waiting, sleeping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            sleeping.cancel()
        self._check.clear()

    async def _flush_requested(self) -> bool:
        try:
            requests = await self._logs.flush_requests()
        except WalUnavailable:
            return False  # the lease keeper says so already
        requested = requests != self._flush_requests
        self._flush_requests = requests
        return requested


def _form(group: Sequence[_Push]) -> list[_Formed]:
    """One segment a tenant, encoded."""
    tenants: dict[str, list[_Push]] = {}
    for push in group:
        tenants.setdefault(push.tenant, []).append(push)
    return [_encode(tenant, joined([push.segment for push in pushes])) for tenant, pushes in tenants.items()]


def _encode(tenant: str, segment: Segment) -> _Formed:
    record = record_of(tenant, segment)
    is_kept_encoded = is_small(record.rows, record.header.text_bytes)
    return _Formed(record.header, record if is_kept_encoded else segment, encode_record(record))


def _kept(record: WalRecord) -> Columns:
    """What of it is to stay in memory."""
    return record if is_small(record.rows, record.header.text_bytes) else record.segment()


def _reform(record: LogRecord) -> _Formed:
    return _encode(record.tenant, segment_of(record.columns))


def _settle(done: "asyncio.Future[None]", error: BaseException | None) -> None:
    if done.cancelled():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
