"""Flushing the write-ahead logs of ingesters that died, were paused too long, or handed over."""

import asyncio
import logging
import random

from log_aggregator.clock import Clock
from log_aggregator.errors import LogAggregatorError, failures_of
from log_aggregator.formats.wal_record import decode_record
from log_aggregator.model.position import Position
from log_aggregator.services.flush import Flusher, LogRecord
from log_aggregator.services.write_metrics import WriteMetrics
from log_aggregator.wal.log import Lease, WriteAheadLogs

logger = logging.getLogger(__name__)

_RECORDS_PER_READ = 8
_SLICE_BYTES = 80 << 20  # a dead replica's log is flushed in slices of this much, to bound our memory


class Takeover:
    """Any number of replicas may run this: the lease lets one win each log."""

    def __init__(
        self, logs: WriteAheadLogs, flusher: Flusher, clock: Clock, metrics: WriteMetrics, holder: str
    ) -> None:
        self._logs = logs
        self._flusher = flusher
        self._clock = clock
        self._metrics = metrics
        self._holder = holder

    async def run(self) -> None:
        """Sweeps until cancelled."""
        while True:
            try:
                await self.sweep()
            except LogAggregatorError as error:
                logger.warning("takeover failed, will try again", extra={"error": str(error)})
            await self._clock.sleep(self._logs.lease_seconds * random.uniform(0.2, 0.5))

    async def sweep(self) -> int:
        """Claims and flushes every log that nobody holds; how many. A log that fails leaves the others alone.

        Raises WalUnavailable.
        """
        taken = 0
        for state in await self._logs.states():
            lease = await self._logs.claim(state.wal, self._holder)
            if lease is None:
                continue
            logger.info("took over a log", extra={"wal": lease.wal, "epoch": lease.epoch})
            try:
                await self._drain(lease)
                taken += 1
            except* LogAggregatorError as group:
                for error in failures_of(group):
                    logger.warning("takeover failed, will try again", extra={"error": str(error)})
        return taken

    async def _drain(self, lease: Lease) -> None:
        renewing = asyncio.create_task(self._renew(lease))
        try:
            while records := await self._read_slice(lease.wal):
                result = await self._flusher.flush(lease, records)
                self._metrics.wal_truncate_seconds.observe(result.commit_seconds)
                self._metrics.wal_recovered_entries.inc(result.entries)
        finally:
            renewing.cancel()
            await self._logs.release(lease)

    async def _renew(self, lease: Lease) -> None:
        while True:
            await self._clock.sleep(self._logs.lease_seconds / 3)
            try:
                await self._logs.renew(lease)
            except LogAggregatorError as error:
                logger.warning("cannot renew the lease", extra={"wal": lease.wal, "error": str(error)})

    async def _read_slice(self, wal: str) -> list[LogRecord]:
        """The oldest records of the log."""
        records: list[LogRecord] = []
        size, after = 0, None
        while size < _SLICE_BYTES:
            (found,) = await self._logs.read([(wal, after)], _RECORDS_PER_READ)
            for position, data in found:
                record = await asyncio.to_thread(_decode, position, data)
                records.append(record)
                size, after = size + record.memory_bytes, position
            if len(found) < _RECORDS_PER_READ:
                break
        return records


def _decode(position: Position, data: bytes) -> LogRecord:
    record = decode_record(data)
    return LogRecord.of(position, record.header, record)
