"""Rows of write-ahead log records that have been flushed already, found again in their chunks."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import polars as pl

from log_aggregator.clock import Clock
from log_aggregator.engine.batch import Batch
from log_aggregator.model.segment import ARRIVAL, BATCH_SCHEMA
from log_aggregator.services.scan import Scanner
from log_aggregator.services.statistics import ScanStatistics
from log_aggregator.services.units import ChunkUnit, Scan

_MINUTE_NS = 60 * 1_000_000_000
# Entries with other timestamps are no news to anyone who looks at what happens right now.
_BACK_NS = 120 * _MINUTE_NS
_AHEAD_NS = 30 * _MINUTE_NS


@dataclass(frozen=True, slots=True)
class Missed:
    """Records of one log, by the first and last `arrival` that they may have."""

    wal: str
    first_arrival: int
    last_arrival: int

    def rows(self) -> pl.Expr:
        """Which rows of a chunk are theirs, if the chunk is of the log."""
        return pl.col(ARRIVAL).is_between(self.first_arrival, self.last_arrival)


class FlushedRecords:
    """Raises the store's errors, WalUnavailable, CorruptData."""

    def __init__(self, scanner: Scanner, clock: Clock) -> None:
        self._scanner = scanner
        self._clock = clock

    async def batches(self, tenant: str, missed: Missed) -> AsyncIterator[Batch]:
        """The tenant's rows, of about the present."""
        now_ns, statistics = self._clock.now_ns(), ScanStatistics()
        scan = Scan(tenant, now_ns - _BACK_NS, now_ns + _AHEAD_NS, lambda labels: True)
        for unit in await self._scanner.units(scan, statistics):
            if isinstance(unit, ChunkUnit) and any(
                held.wal == missed.wal for held in unit.index.chunks[unit.chunk].coverage
            ):
                batch = await self._scanner.load(unit, scan, BATCH_SCHEMA.names(), statistics)
                frame = await asyncio.to_thread(batch.frame.filter, missed.rows())
                if frame.height:
                    yield Batch(batch.streams, frame)
