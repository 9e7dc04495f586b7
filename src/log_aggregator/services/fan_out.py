"""The shares of a range aggregation over many row groups, offered to replicas with free capacity.

The asking replica works on its shares too, from the last to the first. Then it waits for the others, but not much
longer than a share takes, and takes back what they leave lying. Without Redis it does everything itself.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from log_aggregator.clock import timeout
from log_aggregator.engine.columnar_leaf import ColumnarLeaf
from log_aggregator.engine.samples import PipelineFailed
from log_aggregator.formats.errors import CorruptData, UnknownVersion
from log_aggregator.formats.partial_result import FailedReply, PartialReply, RefusedReply, Reply, decode_reply
from log_aggregator.formats.subquery import MAX_BYTES, encode_subquery
from log_aggregator.services.fan_out_metrics import FanOutMetrics, Fate
from log_aggregator.services.leaf_units import LeafUnit, LeafUnits
from log_aggregator.services.statistics import ScanStatistics
from log_aggregator.services.subquery import Question, subquery_of
from log_aggregator.services.units import ChunkUnit, Scan
from log_aggregator.wal.errors import WalFull, WalUnavailable
from log_aggregator.wal.work_queue import WorkQueue

logger = logging.getLogger(__name__)

# What a row group costs, roughly: to look at its lines takes milliseconds, to count its rows a tenth of one.
_COST_OF_LINES, _COST_OF_ROWS = 16, 1
# Many small shares spread evenly; each costs some milliseconds on either side.
_COST_PER_SHARE = 4 * _COST_OF_LINES
_FEW_SHARES = 8
_MAX_SHARES = 64
# While one share is read, the other is computed.
_SHARES_AT_A_TIME = 2
# After which a worker counts as dead. It shows that it is alive four times as often (services/worker.py).
_SILENT_SECONDS = 2.0
_LOOK_SECONDS = 0.25
# So many times the slowest of its own shares the asker waits for others.
_PATIENCE = 2
_LISTEN_SECONDS = 5.0
# A Redis that hangs must not hold up a query.
_REDIS_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class LeafTask:
    """What is to be added to the leaf."""

    question: Question
    columnar: ColumnarLeaf = field(repr=False)
    scan: Scan
    units: Sequence[LeafUnit] = field(repr=False)
    statistics: ScanStatistics


class FanOut:
    """`min_units` row groups at least are worth the detour, if their lines are looked at."""

    def __init__(self, queue: WorkQueue, metrics: FanOutMetrics, min_units: int) -> None:
        self._queue = queue
        self._metrics = metrics
        self._min_units = min_units

    async def add(self, task: LeafTask, units: LeafUnits) -> None:
        """Adds all the units of the task. Raises what `LeafUnits` raises, in groups."""
        if not self._queue.others:
            await units.add(task.units, task.columnar, task.scan, task.statistics)
            return
        costs = [
            _COST_OF_ROWS if await units.is_quick(one.unit, task.columnar) else _COST_OF_LINES for one in task.units
        ]
        shares, own = self._divided(task, costs)
        text = task.question.text if shares else None
        if text is None:
            await units.add(task.units, task.columnar, task.scan, task.statistics)
        else:
            await _Sharing(self._queue, self._metrics, task, units).run(text, shares, own)

    def _divided(self, task: LeafTask, costs: Sequence[int]) -> tuple[list[list[LeafUnit]], list[LeafUnit]]:
        """Shares, and what stays here: records, which this replica has read, and units of which rows are hidden."""
        known, own = [], []
        for one, cost in zip(task.units, costs, strict=True):
            if isinstance(one.unit, ChunkUnit) and one.unit.hidden is None:
                known.append((one, cost))
            else:
                own.append(one)
        total = sum(cost for _, cost in known)
        if total < self._min_units * _COST_OF_LINES:
            return [], list(task.units)
        size = max(min(_COST_PER_SHARE, total // _FEW_SHARES), -(-total // _MAX_SHARES))
        shares: list[list[LeafUnit]] = []
        room = 0
        for one, cost in known:
            if room <= 0:
                shares.append([])
                room = size
            shares[-1].append(one)
            room -= cost
        return shares, own


class _Sharing:
    """One leaf on its way to its end."""

    def __init__(self, queue: WorkQueue, metrics: FanOutMetrics, task: LeafTask, units: LeafUnits) -> None:
        self._queue = queue
        self._metrics = metrics
        self._task = task
        self._units = units
        self._query = queue.new_query()
        self._tenant = task.question.tenant
        self._open: dict[str, Sequence[LeafUnit]] = {}  # offered and not answered, by id
        self._own: deque[tuple[Sequence[LeafUnit], Fate | None]] = deque()  # to be computed here
        self._replies: deque[tuple[Sequence[LeafUnit], bytes]] = deque()
        self._changed = asyncio.Event()
        self._slowest_seconds = 0.0
        self._alone = False

    async def run(self, text: str, shares: Sequence[Sequence[LeafUnit]], own: Sequence[LeafUnit]) -> None:
        ids = await self._offer(text, shares)
        try:
            async with asyncio.TaskGroup() as group:
                attending = [group.create_task(loop()) for loop in (self._listen, self._renew)] if ids else []
                async with asyncio.TaskGroup() as working:
                    working.create_task(self._compute(own))
                    for _ in range(_SHARES_AT_A_TIME):
                        working.create_task(self._work())
                for loop in attending:
                    loop.cancel()
        finally:
            if ids:
                # Otherwise it ends by itself, some seconds later.
                with suppress(WalUnavailable, WalFull, TimeoutError):
                    async with timeout(_REDIS_SECONDS):
                        await self._queue.end(self._query, self._tenant, ids)

    async def _offer(self, text: str, shares: Sequence[Sequence[LeafUnit]]) -> list[str]:
        """The ids of the shares that others may have; the others are our own."""
        encoded = [encode_subquery(subquery_of(self._query, self._task.question, text, share)) for share in shares]
        small = [(share, data) for share, data in zip(shares, encoded, strict=True) if len(data) <= MAX_BYTES]
        self._own += [(share, None) for share, data in zip(shares, encoded, strict=True) if len(data) > MAX_BYTES]
        ids: list[str] = []
        try:
            async with timeout(_REDIS_SECONDS):
                ids = await self._queue.add(self._query, self._tenant, [data for _, data in small])
        except (WalUnavailable, WalFull, TimeoutError) as error:
            self._go_alone(error)
        self._open = {id_: share for id_, (share, _) in zip(ids, small, strict=False)}
        self._own += [(share, None) for share, _ in small[len(ids) :]]
        return ids

    async def _work(self) -> None:
        """Until there is nothing left to do, and nothing to wait for."""
        idle_since: float | None = None
        while True:
            if self._replies:
                await self._receive(*self._replies.popleft())
            elif self._own:
                share, fate = self._own.popleft()
                if fate is not None:
                    self._metrics.shared.labels(fate).inc()
                await self._compute(share)
            elif not self._open:
                return
            elif not await self._take(0.0 if self._is_too_long(idle_since) else _SILENT_SECONDS):
                idle_since = idle_since or _now()
                self._changed.clear()
                with suppress(TimeoutError):
                    async with timeout(_LOOK_SECONDS):
                        await self._changed.wait()
                continue
            idle_since = None

    def _is_too_long(self, idle_since: float | None) -> bool:
        """Whether somebody is much slower than we are."""
        return idle_since is not None and _now() - idle_since >= max(_LOOK_SECONDS, _PATIENCE * self._slowest_seconds)

    async def _take(self, silent_seconds: float) -> bool:
        """Makes a share our own that no worker has, or one that was silent for so long.

        The last first: workers begin with the first.
        """
        ids = list(reversed(self._open))
        taken: str | None = ids[0]
        if not self._alone:
            try:
                async with timeout(_REDIS_SECONDS):
                    taken = await self._queue.take(self._tenant, ids, silent_seconds)
            except (WalUnavailable, WalFull, TimeoutError) as error:
                self._go_alone(error)
        if taken is None:
            return False
        share = self._open.pop(taken, None)
        if share is not None:
            self._own.append((share, Fate.TAKEN))
        return True

    async def _compute(self, share: Sequence[LeafUnit]) -> None:
        task, begun = self._task, _now()
        await self._units.add(share, task.columnar, task.scan, task.statistics)
        self._slowest_seconds = max(self._slowest_seconds, _now() - begun)

    async def _receive(self, share: Sequence[LeafUnit], data: bytes) -> None:
        match await asyncio.to_thread(_decoded, data):
            case PartialReply(result, figures):
                await asyncio.to_thread(self._task.columnar.merge, result)
                self._task.statistics.add(figures)
                self._metrics.shared.labels(Fate.ANSWERED).inc()
            case FailedReply(error=error, series=series):
                self._metrics.shared.labels(Fate.ANSWERED).inc()
                raise PipelineFailed(error, series)
            case RefusedReply(reason=reason):
                logger.info("a share of a query was refused", extra={"reason": reason})
                self._own.append((share, Fate.REFUSED))

    async def _listen(self) -> None:
        try:
            while True:
                answer = await self._queue.wait_answer(self._query, _LISTEN_SECONDS)
                # Whoever was taken for dead may answer after all.
                share = self._open.pop(answer[0], None) if answer is not None else None
                if answer is not None and share is not None:
                    self._replies.append((share, answer[1]))
                    self._changed.set()
        except (WalUnavailable, WalFull) as error:
            self._go_alone(error)

    async def _renew(self) -> None:
        try:
            while True:
                await asyncio.sleep(self._queue.renewal_seconds)
                await self._queue.renew(self._query)
        except (WalUnavailable, WalFull) as error:
            self._go_alone(error)

    def _go_alone(self, error: Exception) -> None:
        if not self._alone:
            logger.warning("a query goes on without other replicas", extra={"error": str(error)})
        self._alone = True
        self._changed.set()


def _now() -> float:
    """Seconds of the clock that the event loop waits by."""
    return asyncio.get_running_loop().time()


def _decoded(data: bytes) -> Reply:
    try:
        return decode_reply(data)
    except (CorruptData, UnknownVersion) as error:
        return RefusedReply(str(error))
