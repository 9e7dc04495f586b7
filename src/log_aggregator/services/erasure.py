"""Carrying out what is hidden: delete requests that are past their cancel period, and what has expired.

A deletion is processed when a look at every stored chunk finds nothing of it, and nothing that was pushed before the
request is left in a write-ahead log. Until then, and for a while afterwards, queries hide it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import CollectorRegistry, Counter

from log_aggregator.clock import Clock
from log_aggregator.errors import LogAggregatorError, collected
from log_aggregator.formats.delete_request import DeleteProgress, DeleteRequest
from log_aggregator.formats.errors import DAMAGE
from log_aggregator.services.catalog import IndexCatalog
from log_aggregator.services.compactor import Compaction, Compactor
from log_aggregator.services.deletion import Deletions, Hidden, KnownRequest
from log_aggregator.services.hidden_rows import Deletion, HiddenRows
from log_aggregator.services.retention import Retention
from log_aggregator.wal.log import WriteAheadLogs

# Positions in a log tell Redis' time, which another may tell after a failover.
_CLOCK_SKEW_MS: Final = 60_000


class ErasureMetrics:
    """Loki's names. See docs/metrics.md."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.processed = Counter(
            "loki_compactor_delete_requests_processed_total",
            "Delete requests carried out",
            ["user"],
            registry=registry,
        )
        self.deleted_lines = Counter(
            "loki_compactor_deleted_lines", "Entries removed from chunks", ["user"], registry=registry
        )


@dataclass(frozen=True, slots=True)
class Erasure:
    """What is to be erased of one tenant. Requests that can still be cancelled are pending only."""

    tenant: str
    pending: tuple[KnownRequest, ...]
    requests: tuple[KnownRequest, ...]
    deletions: tuple[Deletion, ...] = field(repr=False)
    retention: Retention | None = field(repr=False)
    period_ns: int
    now_ns: int

    def within(self, period_start_ns: int) -> HiddenRows | None:
        """Of one period, None for nothing. What expires does so all at once, when the end of the period has expired.

        A period that has expired for every stream is left to the janitor.
        """
        end_ns = period_start_ns + self.period_ns
        hidden = [deletion for deletion in self.deletions if deletion.overlaps(period_start_ns, end_ns - 1)]
        retention = self.retention
        if retention is not None and retention.shortest_ns <= self.now_ns - end_ns < retention.longest_ns:
            hidden.append(_expired(retention, period_start_ns, end_ns, self.now_ns))
        return HiddenRows(tuple(hidden), None, self.now_ns) if hidden else None


class Erasures:
    """Raises what `Compactor` and `Deletions` raise."""

    def __init__(
        self,
        compactor: Compactor,
        catalog: IndexCatalog,
        deletions: Deletions,
        hidden: Hidden,
        logs: WriteAheadLogs,
        clock: Clock,
        metrics: ErasureMetrics,
        period_ns: int,
    ) -> None:
        self._compactor = compactor
        self._catalog = catalog
        self._deletions = deletions
        self._hidden = hidden
        self._logs = logs
        self._clock = clock
        self._metrics = metrics
        self._period_ns = period_ns

    async def of(self, tenant: str) -> Erasure:
        pending = tuple(await self._deletions.pending(tenant))
        due = tuple(known for known in pending if self._deletions.is_due(known.request))
        compiled = tuple(self._deletions.compiled(known.request) for known in due)
        retention = self._hidden.retention(tenant)
        return Erasure(tenant, pending, due, compiled, retention, self._period_ns, self._clock.now_ns())

    async def carry_out(self, erasure: Erasure, done: list[Compaction]) -> None:
        """Erases from every period, and remembers which requests have been carried out. `done` gets what was erased.

        A damaged period leaves the others alone; its failure comes at the end, in a group.
        """
        # In this order: what leaves a log after the look at it is in a period that is listed.
        flushed = await self._flushed(erasure.requests)
        periods = await self._catalog.stored_counts(erasure.tenant)
        concerned = [period for period in periods if erasure.within(period) is not None]
        failures: list[LogAggregatorError] = []
        for number, period in enumerate(concerned):
            with collected(failures, *DAMAGE):
                await self._erase(erasure, period, done)
                if not failures:
                    await self._note(erasure, DeleteProgress(percent=100 * number // len(concerned)))
        if failures:
            raise ExceptionGroup("not everything could be erased", failures)
        for known in flushed:
            await self._deletions.note(erasure.tenant, known.request, DeleteProgress(100, self._clock.now_ns()))
            self._metrics.processed.labels(erasure.tenant).inc()

    async def _erase(self, erasure: Erasure, period: int, done: list[Compaction]) -> None:
        erasing = erasure.within(period)
        assert erasing is not None
        while (compaction := await self._compactor.erase(erasure.tenant, period, erasing)) is not None:
            done.append(compaction)
            self._metrics.deleted_lines.labels(erasure.tenant).inc(compaction.rows_read - compaction.rows_written)

    async def _note(self, erasure: Erasure, progress: DeleteProgress) -> None:
        for known in erasure.requests:
            if progress.percent > known.progress.percent:
                await self._deletions.note(erasure.tenant, known.request, progress)

    async def _flushed(self, requests: Sequence[KnownRequest]) -> list[KnownRequest]:
        """Those before whose creation nothing was pushed that is not in the store by now."""
        if not requests:
            return []
        wals = [state.wal for state in await self._logs.states()]
        oldest = [
            found[0][0].milliseconds for found in await self._logs.read([(wal, None) for wal in wals], 1) if found
        ]
        horizon_ms = min(oldest, default=None)
        return [known for known in requests if horizon_ms is None or _made_ms(known.request) < horizon_ms]


def _made_ms(request: DeleteRequest) -> int:
    """What was pushed later was pushed after the request."""
    return max(request.redis_ms, request.created_ns // 1_000_000) + _CLOCK_SKEW_MS


def _expired(retention: Retention, start_ns: int, end_ns: int, now_ns: int) -> Deletion:
    """The streams of which everything in the period has expired."""
    return Deletion(start_ns, end_ns, lambda labels: end_ns <= now_ns - retention.period_ns(labels), None, None)
