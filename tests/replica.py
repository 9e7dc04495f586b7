"""The write and read path of one replica in this process, whose every step outside can be held, failed or ended."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, TypeVar

import polars as pl
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from clocks import SetClock
from log_aggregator.clock import Clock
from log_aggregator.errors import LogAggregatorError
from log_aggregator.model.limits import Limits
from log_aggregator.model.segment import LINE, METADATA, SEGMENT_SCHEMA, STREAM, TIMESTAMP, Segment
from log_aggregator.services.catalog import IndexCatalog
from log_aggregator.services.compaction_plan import CELL_TEXT_BYTES, Choice, runs_to_merge
from log_aggregator.services.compactor import Compactor
from log_aggregator.services.deletion import DeletionMetrics, Deletions, Hidden
from log_aggregator.services.erasure import ErasureMetrics, Erasures
from log_aggregator.services.flush import Flusher
from log_aggregator.services.forced_flush import ForcedFlush
from log_aggregator.services.ingester import FlushPolicy, FlushReason, Ingester
from log_aggregator.services.janitor import Janitor
from log_aggregator.services.row_groups import RowGroups
from log_aggregator.services.scan import Scanner
from log_aggregator.services.skip_filters import SkipFilterMetrics, SkipFilters
from log_aggregator.services.statistics import ScanStatistics
from log_aggregator.services.tail import Tail
from log_aggregator.services.takeover import Takeover
from log_aggregator.services.units import Scan
from log_aggregator.services.write_metrics import WriteMetrics
from log_aggregator.storage.errors import StoreUnavailable
from log_aggregator.storage.store import ByteRange, ObjectMeta, ObjectStore
from log_aggregator.wal.errors import WalUnavailable
from log_aggregator.wal.index_list import IndexList
from log_aggregator.wal.log import WriteAheadLogs
from log_aggregator.wal.marks import Marks
from log_aggregator.wal.names import Names

Result = TypeVar("Result")
HOUR_NS = 3600 * 1_000_000_000
POLICY = FlushPolicy(
    chunk_idle_period_ns=HOUR_NS,
    max_chunk_age_ns=HOUR_NS,
    chunk_target_bytes=1 << 20,
    max_buffer_bytes=64 << 20,
    max_wait_seconds=0.0,
)


class Killed(Exception):
    """What the process was doing when it ended. Nothing handles it."""


STOPPED = SetClock()
KEEPING = Limits(deletion_mode="disabled")


class Fate(Enum):
    """What becomes of a step that is not simply done. A lost one is done, but its caller hears of a failure."""

    HELD = auto()
    FAILED = auto()
    LOST = auto()
    KILLED = auto()


@dataclass
class Gate:
    """Every step of a replica outside of its process passes here, once before and once after it is done."""

    passed: int = 0
    dead: bool = False
    fates: dict[int, Fate] = field(default_factory=dict)  # by the number of the step, counted from now on
    held: asyncio.Event = field(default_factory=asyncio.Event)
    resumed: asyncio.Event = field(default_factory=asyncio.Event)

    def plan(self, steps: int, fate: Fate) -> None:
        """The step after so many others meets the fate."""
        self.fates = {self.passed + steps: fate}
        self.held, self.resumed = asyncio.Event(), asyncio.Event()

    def kill(self) -> None:
        self.dead = True
        self.resumed.set()

    async def through(self, step: Callable[[], Awaitable[Result]], failure: type[LogAggregatorError]) -> Result:
        fate = self.fates.get(self.passed)
        self.passed += 1
        if fate is Fate.HELD:
            self.held.set()
            await self.resumed.wait()
        if fate is Fate.KILLED:
            self.dead = True
        if self.dead:
            raise Killed
        if fate is Fate.FAILED:
            raise failure("as planned")
        result = await step()
        if self.dead:
            raise Killed
        if fate is Fate.LOST:
            raise failure("as planned")
        return result


class GatedStore:
    def __init__(self, store: ObjectStore, gate: Gate) -> None:
        self._store = store
        self._gate = gate

    async def get(self, key: str, byte_range: ByteRange | None = None) -> bytes:
        return await self._gate.through(lambda: self._store.get(key, byte_range), StoreUnavailable)

    async def head(self, key: str) -> ObjectMeta:
        return await self._gate.through(lambda: self._store.head(key), StoreUnavailable)

    async def put(self, key: str, data: bytes | memoryview, *, if_absent: bool = False) -> None:
        await self._gate.through(lambda: self._store.put(key, data, if_absent=if_absent), StoreUnavailable)

    async def delete(self, keys: Sequence[str]) -> None:
        await self._gate.through(lambda: self._store.delete(keys), StoreUnavailable)

    async def list_prefixes(self, prefix: str) -> Sequence[str]:
        return await self._gate.through(lambda: self._store.list_prefixes(prefix), StoreUnavailable)

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectMeta]:
        async def metas() -> list[ObjectMeta]:
            return [meta async for meta in self._store.list(prefix, after=after)]

        for meta in await self._gate.through(metas, StoreUnavailable):
            yield meta

    async def close(self) -> None:
        await self._store.close()


class GatedLogs(WriteAheadLogs):
    """Its scripts pass the gate: all that writes."""

    def __init__(self, redis: Redis, names: Names, gate: Gate) -> None:
        super().__init__(redis, names, lease_seconds=3600)
        self._gate = gate

    async def _run(self, *arguments: Any) -> Any:
        return await self._gate.through(lambda: WriteAheadLogs._run(self, *arguments), WalUnavailable)


@dataclass(frozen=True, order=True)
class Entry:
    tenant: str
    stream: str
    timestamp_ns: int
    line: str


class Replica:
    """Enter it to let it take pushes. `gate` decides what its steps meet."""

    def __init__(
        self,
        redis: Redis,
        names: Names,
        store: ObjectStore,
        holder: str,
        policy: FlushPolicy = POLICY,
        *,
        clock: Clock = STOPPED,
        limits: Limits = KEEPING,
        choose: Choice = runs_to_merge,
        cell_text_bytes: int = CELL_TEXT_BYTES,
    ) -> None:
        self.gate = Gate()
        self.holder = holder
        gated = GatedStore(store, self.gate)
        registry = CollectorRegistry()
        metrics = WriteMetrics(registry)

        def limits_of(_: str) -> Limits:
            return limits

        self.logs = GatedLogs(redis, names, self.gate)
        self.catalog = IndexCatalog(gated, IndexList(redis, names), HOUR_NS)
        self.tail = Tail(self.logs)
        self.flusher = Flusher(gated, self.catalog, self.logs, HOUR_NS)
        self.ingester = Ingester(self.logs, self.flusher, self.tail, policy, clock, metrics, holder)
        self.takeover = Takeover(self.logs, self.flusher, clock, metrics, holder)
        self.forced_flush = ForcedFlush(self.logs, self.takeover, clock)
        marks, deletion_metrics = Marks(redis, names), DeletionMetrics(registry)
        self.deletions = Deletions(gated, marks, limits_of, clock, deletion_metrics, HOUR_NS)
        self.hidden = Hidden(self.deletions, limits_of, clock)
        row_groups, skip_filters = RowGroups(gated, self.catalog), SkipFilters(gated, SkipFilterMetrics(registry))
        self.scanner = Scanner(row_groups, self.catalog, self.tail, HOUR_NS, self.hidden, skip_filters)
        merged = Scanner(RowGroups(gated, self.catalog), self.catalog, self.tail, HOUR_NS)
        self.compactor = Compactor(gated, self.catalog, merged, HOUR_NS, _leading, cell_text_bytes, choose=choose)
        self.erasures = Erasures(
            self.compactor,
            self.catalog,
            self.deletions,
            self.hidden,
            self.logs,
            clock,
            ErasureMetrics(registry),
            HOUR_NS,
        )
        self.janitor = Janitor(gated, self.catalog, 0, HOUR_NS)
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self.ingester.start()
        self._running = asyncio.create_task(self.ingester.run())

    async def end(self) -> None:
        """As a killed process ends: with nothing said to anyone."""
        self.gate.kill()
        if self._running is not None:
            self._running.cancel()
            with suppress(asyncio.CancelledError, Killed, ExceptionGroup):
                await self._running

    async def push(self, entries: Sequence[Entry]) -> None:
        """Entries of one tenant."""
        segment = segment_of(entries)
        await self.ingester.push(entries[0].tenant, segment, segment.text_bytes())

    async def flush(self) -> None:
        await self.ingester.flush(FlushReason.FORCED)

    async def entries(self, tenant: str) -> list[Entry]:
        """All that a query finds, in its order."""
        found: list[Entry] = []
        scan = Scan(tenant, -(1 << 63), 100 * HOUR_NS, lambda labels: True)
        async for batch in self.scanner.ordered(scan, "forward", ScanStatistics()):
            for stream, timestamp, line in batch.frame.select(STREAM, TIMESTAMP, LINE).iter_rows():
                found.append(Entry(tenant, dict(batch.streams[stream])["stream"], timestamp, line))
        return found


async def _leading() -> None:
    """The lease of compactors spares work, and is not what makes them safe."""


def segment_of(entries: Sequence[Entry]) -> Segment:
    streams = sorted({entry.stream for entry in entries})
    frame = pl.DataFrame(
        {
            STREAM: [streams.index(entry.stream) for entry in entries],
            TIMESTAMP: [entry.timestamp_ns for entry in entries],
            LINE: [entry.line for entry in entries],
            METADATA: [""] * len(entries),
        },
        schema=SEGMENT_SCHEMA,
    )
    return Segment(tuple((("stream", stream),) for stream in streams), frame)
