"""Work on the shares of other replicas' queries, while this one has no query of its own."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from log_aggregator.clock import Clock, timeout
from log_aggregator.engine.query_memory import QueryMemory
from log_aggregator.engine.samples import PipelineFailed
from log_aggregator.errors import first_of
from log_aggregator.formats.errors import CorruptData, UnknownVersion
from log_aggregator.formats.partial_result import FailedReply, PartialReply, RefusedReply, Reply, encode_reply
from log_aggregator.formats.subquery import Subquery, decode_subquery
from log_aggregator.services.admission import Admission
from log_aggregator.services.fan_out_metrics import FanOutMetrics, Outcome
from log_aggregator.services.leaf_units import LeafUnits
from log_aggregator.services.scan import Scanner
from log_aggregator.services.statistics import ScanStatistics
from log_aggregator.services.subquery import leaf_of, units_of
from log_aggregator.wal.errors import WalFull, WalUnavailable
from log_aggregator.wal.work_queue import PulledShare, WorkQueue

logger = logging.getLogger(__name__)

# While one share is read, the other is computed.
_SHARES_AT_A_TIME = 2
_TURN_SECONDS = 5.0
_RETRY_SECONDS = 1.0
_LEAVE_SECONDS = 1.0
# How often a share is held (services/fan_out.py counts on it), and so how soon work on an unwanted one ends.
_HOLD_SECONDS = 0.5


class Worker:
    """Of one process."""

    def __init__(
        self,
        queue: WorkQueue,
        scanner: Scanner,
        admission: Admission,
        clock: Clock,
        metrics: FanOutMetrics,
        memory_bytes: int = 0,
    ) -> None:
        """`memory_bytes` are what one share may hold, 0 for no limit: what needs more is left to the asker."""
        self._queue = queue
        self._scanner = scanner
        self._admission = admission
        self._clock = clock
        self._metrics = metrics
        self._memory_bytes = memory_bytes
        self._units = LeafUnits(scanner)

    async def run(self) -> None:
        """For ever."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._repeat(self._show_up))
                for _ in range(_SHARES_AT_A_TIME):
                    group.create_task(self._repeat(self._take_turn))
        finally:
            with suppress(WalUnavailable, WalFull, TimeoutError):
                async with timeout(_LEAVE_SECONDS):
                    await self._queue.leave()

    async def _repeat(self, step: Callable[[], Awaitable[None]]) -> None:
        while True:
            pause_seconds = 0.0
            try:
                await step()
            except* (WalUnavailable, WalFull) as errors:
                error = str(first_of(errors))
                logger.warning("cannot work for other replicas, will try again", extra={"error": error})
                pause_seconds = _RETRY_SECONDS
            # Not above: what is raised there, as a cancellation, comes out as a group in Python 3.11.2.
            if pause_seconds:
                await self._clock.sleep(pause_seconds)

    async def _show_up(self) -> None:
        try:
            await self._queue.show_up()
        finally:
            self._metrics.others.set(self._queue.others)
        await self._clock.sleep(self._queue.showing_seconds)

    async def _take_turn(self) -> None:
        await self._admission.wait_idle()
        tenant = await self._queue.wait_turn(_TURN_SECONDS)
        if tenant is not None:
            await self._use_turn(tenant)

    async def _use_turn(self, tenant: str) -> None:
        if not self._admission.is_idle:
            await self._queue.give_back(tenant)
            return
        share = await self._queue.pull(tenant)
        if share is None:
            return
        try:
            subquery = decode_subquery(share.data)
        except (CorruptData, UnknownVersion) as error:
            # Its asker takes it back when nobody holds it.
            logger.warning("cannot read a share of a query", extra={"error": str(error)})
            return
        outcome = await self._work(share, subquery)
        self._metrics.worked.labels(outcome).inc()

    async def _work(self, share: PulledShare, subquery: Subquery) -> Outcome:
        async with asyncio.TaskGroup() as group:
            working = group.create_task(self._reply(subquery))
            seconds = 0.0  # the query may have ended while the share waited
            while not (await asyncio.wait([working], timeout=seconds))[0]:
                if not await self._queue.hold(subquery.query, share):
                    working.cancel()
                    return Outcome.UNWANTED
                seconds = _HOLD_SECONDS
        reply = working.result()
        data = await asyncio.to_thread(encode_reply, reply)
        if not await self._queue.answer(subquery.query, share, data):
            return Outcome.UNWANTED
        return Outcome.REFUSED if isinstance(reply, RefusedReply) else Outcome.ANSWERED

    async def _reply(self, subquery: Subquery) -> Reply:
        """Never fails: what is wrong here may be right at the asker's, and what is wrong there it will see."""
        statistics = ScanStatistics()
        reply: Reply
        try:
            columnar, scan = await asyncio.to_thread(leaf_of, subquery, QueryMemory(self._memory_bytes))
            units = await units_of(self._scanner, scan, subquery.units)
            await self._units.add(units, columnar, scan, statistics)
            reply = PartialReply(await asyncio.to_thread(columnar.partial), statistics.figures())
        except* PipelineFailed as failures:
            first = first_of(failures)
            assert isinstance(first, PipelineFailed)
            reply = FailedReply(first.error, first.series)
        except* Exception as failures:
            first = first_of(failures)
            logger.warning("cannot compute a share of a query", extra={"error": f"{type(first).__name__}: {first}"})
            reply = RefusedReply(str(first))
        return reply
