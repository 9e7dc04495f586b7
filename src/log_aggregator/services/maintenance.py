"""What one replica at a time does for all: it compacts, deletes what has expired, and collects garbage."""

import asyncio
import logging
import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from log_aggregator.clock import Clock
from log_aggregator.errors import LogAggregatorError, collected, failures_of
from log_aggregator.formats.errors import DAMAGE
from log_aggregator.services.bucket_expiry import BucketExpiry
from log_aggregator.services.catalog import IndexCatalog
from log_aggregator.services.compactor import Compaction, Compactor
from log_aggregator.services.erasure import Erasures
from log_aggregator.services.hidden_rows import HiddenRows
from log_aggregator.services.janitor import Janitor
from log_aggregator.services.retention import Retention
from log_aggregator.storage.errors import ObjectExists
from log_aggregator.storage.probe import ConditionalPut, probe_conditional_put
from log_aggregator.storage.store import ObjectStore
from log_aggregator.wal.errors import WalUnavailable
from log_aggregator.wal.leadership import Leadership

logger = logging.getLogger(__name__)

_SECOND_NS: Final = 1_000_000_000
# All objects of all periods are listed this often at most; between, only index objects are.
_COLLECT_EVERY_NS: Final = 3600 * _SECOND_NS
# A replica that has just begun to lead waits a little: one that starts and stops in a circle does no work, and the
# first queries after a start, for which nothing is in memory yet, do not meet a compaction.
_FIRST_SWEEP_SECONDS: Final = 120.0
_SWEEP_SECONDS: Final = (0.1, 1, 5, 10, 30, 60, 300, 600, 1800, 3600)


class MaintenanceMetrics:
    """Loki's names, which stock alerts look at, and what compaction costs. See docs/metrics.md."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.running = Gauge(
            "loki_boltdb_shipper_compactor_running", "1 on the replica that compacts", registry=registry
        )
        self.sweeps = Counter(
            "loki_boltdb_shipper_compact_tables_operation_total",
            "Rounds of compaction and clean-up",
            ["status"],
            registry=registry,
        )
        self.sweep_seconds = Histogram(
            "loki_boltdb_shipper_compact_tables_operation_duration_seconds",
            "Time of a round",
            buckets=_SWEEP_SECONDS,
            registry=registry,
        )
        self.last_success = Gauge(
            "loki_boltdb_shipper_compact_tables_operation_last_successful_run_timestamp_seconds",
            "When a round last succeeded",
            registry=registry,
        )
        self.compactions = Counter("log_aggregator_compactions_total", "Compactions of a period", registry=registry)
        self.read_bytes = Counter("log_aggregator_compaction_read_bytes_total", "Bytes merged", registry=registry)
        self.written_bytes = Counter(
            "log_aggregator_compaction_written_bytes_total", "Bytes written by compactions", registry=registry
        )
        self.dropped_rows = Counter(
            "log_aggregator_compaction_dropped_entries_total",
            "Duplicates, deleted and expired entries that compactions left out",
            registry=registry,
        )
        self.retention_success = Gauge(
            "loki_compactor_apply_retention_last_successful_run_timestamp_seconds",
            "When a round that removes what expired last succeeded",
            registry=registry,
        )
        self.pending_deletions = Gauge(
            "loki_compactor_pending_delete_requests_count", "Delete requests not carried out yet", registry=registry
        )
        self.oldest_deletion_seconds = Gauge(
            "loki_compactor_oldest_pending_delete_request_age_seconds",
            "Age of the oldest delete request not carried out yet",
            registry=registry,
        )
        self.collected = Counter(
            "log_aggregator_collected_objects_total", "Objects removed from the store", ["kind"], registry=registry
        )


class Maintenance:
    """Any number of replicas may run this: the lease lets one of them work."""

    def __init__(
        self,
        store: ObjectStore,
        catalog: IndexCatalog,
        leadership: Leadership,
        compactor: Compactor,
        janitor: Janitor,
        erasures: Erasures,
        clock: Clock,
        metrics: MaintenanceMetrics,
        interval_ns: int,
        expiry: BucketExpiry | None = None,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._leadership = leadership
        self._compactor = compactor
        self._janitor = janitor
        self._erasures = erasures
        self._clock = clock
        self._metrics = metrics
        self._interval_seconds = interval_ns / _SECOND_NS
        self._expiry = expiry
        self._collected_ns: int | None = None

    async def run(self) -> None:
        """Leads whenever nobody does, until cancelled."""
        while True:
            try:
                if await self._leadership.acquire():
                    await self._lead()
            except* LogAggregatorError as group:
                for error in failures_of(group):
                    logger.warning("cannot go on compacting, will try again", extra={"error": str(error)})
            await self._clock.sleep(self._leadership.lease_seconds * random.uniform(0.3, 0.7))

    async def sweep(self) -> None:
        """One round over all tenants. One that fails leaves the others alone, and fails the round at its end.

        Raises the store's errors, and the failures of tenants as a group.
        """
        now_ns = self._clock.now_ns()
        collect = self._collected_ns is None or now_ns - self._collected_ns >= _COLLECT_EVERY_NS
        failures: list[LogAggregatorError] = []
        pending_ns: list[int] = []
        tenants = await self._tenants()
        if collect and self._expiry is not None:
            await self._expiry.apply(tenants)
        for tenant in tenants:
            with collected(failures, LogAggregatorError):
                pending_ns += await self._sweep_tenant(tenant, now_ns, failures, collect=collect)
        self._metrics.pending_deletions.set(len(pending_ns))
        self._metrics.oldest_deletion_seconds.set((now_ns - min(pending_ns, default=now_ns)) / _SECOND_NS)
        if failures:
            raise ExceptionGroup("not everything could be maintained", failures)
        if collect:
            self._collected_ns = now_ns
            self._metrics.retention_success.set(now_ns / _SECOND_NS)

    async def _lead(self) -> None:
        logger.info("this replica compacts now")
        self._metrics.running.set(1)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep_leading())
                if (conditional := await probe_conditional_put(self._store, "")) is not ConditionalPut.WORKS:
                    logger.warning("the store has no conditional puts", extra={"conditional_put": conditional})
                await self._clock.sleep(min(_FIRST_SWEEP_SECONDS, self._interval_seconds))
                while True:
                    await self._measured_sweep()
                    await self._clock.sleep(self._interval_seconds)
        finally:
            self._metrics.running.set(0)
            with suppress(LogAggregatorError):
                await self._leadership.release()

    async def _keep_leading(self) -> None:
        while True:
            await self._clock.sleep(self._leadership.lease_seconds / 3)
            try:
                await self._leadership.renew()
            except WalUnavailable as error:
                # What has begun may go on: before it becomes visible, the lease is looked at again.
                logger.warning("cannot renew the compactor's lease", extra={"error": str(error)})

    async def _measured_sweep(self) -> None:
        begun = self._clock.monotonic_seconds()
        try:
            await self.sweep()
        except* LogAggregatorError as group:
            self._metrics.sweeps.labels("failure").inc()
            for error in failures_of(group):
                logger.warning("a round of compaction failed, will try again", extra={"error": str(error)})
        else:
            self._metrics.sweeps.labels("success").inc()
            self._metrics.last_success.set(self._clock.now_ns() / _SECOND_NS)
        self._metrics.sweep_seconds.observe(self._clock.monotonic_seconds() - begun)

    async def _tenants(self) -> Sequence[str]:
        return [prefix.rstrip("/") for prefix in await self._store.list_prefixes("")]

    async def _sweep_tenant(
        self, tenant: str, now_ns: int, failures: list[LogAggregatorError], *, collect: bool
    ) -> list[int]:
        """When the delete requests were made that are pending. A damaged period leaves the others alone."""
        counts = await self._catalog.stored_counts(tenant)
        erasure = await self._erasures.of(tenant)
        for period in [period for period, count in counts.items() if count > 1]:
            with collected(failures, *DAMAGE):
                await self._compact(tenant, period, now_ns, erasure.within(period))
        if erasure.requests or collect:
            done: list[Compaction] = []
            with collected(failures, *DAMAGE):
                await self._erasures.carry_out(erasure, done)
            for one in done:
                self._count(one)
        if collect:
            for period in await self._janitor.periods(tenant):
                with collected(failures, *DAMAGE):
                    await self._clean(tenant, period, now_ns, erasure.retention)
        return [known.request.created_ns for known in erasure.pending]

    async def _compact(self, tenant: str, period_start_ns: int, now_ns: int, erasing: HiddenRows | None) -> None:
        with suppress(ObjectExists):  # another replica was faster, and goes on
            while done := await self._compactor.compact(tenant, period_start_ns, now_ns, erasing):
                self._count(done)
                logger.info("compacted", extra={"tenant": tenant, "period": period_start_ns, "runs": done.merged_runs})

    def _count(self, done: Compaction) -> None:
        self._metrics.compactions.inc()
        self._metrics.read_bytes.inc(done.read_bytes)
        self._metrics.written_bytes.inc(done.written_bytes)
        self._metrics.dropped_rows.inc(done.rows_read - done.rows_written)

    async def _clean(self, tenant: str, period_start_ns: int, now_ns: int, retention: Retention | None) -> None:
        if retention is not None and self._janitor.is_over(period_start_ns, retention.oldest_ns(now_ns)):
            removed = await self._janitor.expire(tenant, period_start_ns)
            logger.info("expired", extra={"tenant": tenant, "period": period_start_ns, "objects": removed.indexes})
        else:
            removed = await self._janitor.collect(tenant, period_start_ns, now_ns)
        self._metrics.collected.labels("index").inc(removed.indexes)
        self._metrics.collected.labels("chunk").inc(removed.chunks)
