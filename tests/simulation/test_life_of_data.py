"""Random lives of data: pushed, flushed, compacted, deleted, expired, collected by replicas that fail, pause and die.

What queries answer is compared with a model in memory. SIMULATION_SEEDS=1000 runs that many seeds, SIMULATION_SEED=42
runs one again. A failure prints the seed and its history.
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import pytest
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from clocks import SetClock
from fated_replicas import SEEDS, TENANTS, FatedReplicas
from log_aggregator.engine.steps import Steps
from log_aggregator.logql.ast import RangeAggregation
from log_aggregator.logql.parser import parse_expr
from log_aggregator.model.limits import Limits, StreamRetention
from log_aggregator.model.segment import LINE, STREAM, TIMESTAMP
from log_aggregator.services.compaction_plan import Run
from log_aggregator.services.metric_query import MetricQueries
from log_aggregator.services.results_cache import ResultsCache, ResultsCacheMetrics
from log_aggregator.services.statistics import ScanStatistics
from log_aggregator.services.units import Scan
from log_aggregator.storage.memory import MemoryStore
from log_aggregator.wal.result_slots import ResultSlots
from replica import HOUR_NS, POLICY, Entry, Replica

ACTIONS = 70
RECENT_HOURS = (1, 1, 1, 2)  # most logs come in time, so that periods have several runs
TOKENS = ("red", "green", "blue")
COUNTS = parse_expr('count_over_time({stream=~".+"}[1h])')
assert isinstance(COUNTS, RangeAggregation)
SHORT_NS, LONG_NS = 24 * HOUR_NS, 48 * HOUR_NS
LIMITS = Limits(
    retention_period=LONG_NS, retention_stream=(StreamRetention(selector='{stream="stream-0"}', period=SHORT_NS),)
)


@dataclass
class Request:
    """A delete request as the model knows it."""

    tenant: str
    request_id: str
    stream: str
    token: str
    start_ns: int
    end_ns: int
    created_ns: int

    def selects(self, entry: Entry) -> bool:
        return (
            entry.tenant == self.tenant
            and entry.stream == self.stream
            and self.token in entry.line
            and self.start_ns <= entry.timestamp_ns < self.end_ns
        )


@dataclass
class Model:
    """What has been pushed, and what may be seen of it."""

    acknowledged: set[Entry] = field(default_factory=set)
    tried: set[Entry] = field(default_factory=set)
    unsure: set[Entry] = field(default_factory=set)
    """Pushed after a request that selects them: seen once the deletion is over, or gone with it."""
    requests: list[Request] = field(default_factory=list)

    def try_push(self, entries: list[Entry]) -> None:
        self.tried.update(entries)
        self.unsure.update(entry for entry in entries if self._deleted(entry))

    def delete(self, request: Request) -> None:
        self.requests.append(request)
        under_way = self.tried - self.acknowledged
        self.unsure.update(entry for entry in under_way if request.selects(entry))

    def expected(self, tenant: str, now_ns: int) -> tuple[set[Entry], set[Entry]]:
        """What must be found, and what may."""
        may = {
            entry
            for entry in self.tried
            if entry.tenant == tenant
            and entry.timestamp_ns >= now_ns - (SHORT_NS if entry.stream == "stream-0" else LONG_NS)
            and (entry in self.unsure or not self._deleted(entry))
        }
        return (may & self.acknowledged) - self.unsure, may

    def _deleted(self, entry: Entry) -> bool:
        return any(request.selects(entry) for request in self.requests)


class Simulation(FatedReplicas):
    patience_seconds = 20

    def __init__(self, redis: Redis, random: Random) -> None:
        self._clock = SetClock(time.time_ns())
        super().__init__(redis, random, MemoryStore(self._clock))
        self._slots = ResultSlots(redis, self._names)
        self._model = Model()
        self._watcher = self._made("watcher")

    async def run(self) -> None:
        try:
            await self._begin_all()
            actions = (
                *(self._push, self._push, self._push, self._flush, self._flush, self._compact, self._compact),
                *(self._sweep, self._erase, self._collect, self._delete, self._cancel),
                *(self._expire_leases, self._resume, self._resume, self._kill, self._advance, self._forget),
            )
            for _ in range(ACTIONS):
                await self._random.choice(actions)()
                await self._check(self._watcher)
            await self._settle()
        finally:
            await self._end_all()

    def _made(self, holder: str) -> Replica:
        return Replica(
            self._redis,
            self._names,
            self._store,
            holder,
            POLICY,
            clock=self._clock,
            limits=LIMITS,
            choose=self._chosen,
            cell_text_bytes=50,
        )

    def _chosen(self, runs: Sequence[Run], *, closed: bool) -> list[Run]:
        """Any, as if they were of any size: so some stay beside what is merged."""
        return self._random.sample(runs, self._random.randint(2, len(runs))) if len(runs) > 1 else []

    # -- what replicas do, which may be held, fail or be its replica's end ---------------------------------------------

    async def _push(self) -> None:
        self._count += 1
        tenant, replica = self._random.choice(TENANTS), self._random.choice(self._replicas)
        hour = self._clock.time_ns // HOUR_NS * HOUR_NS
        entries = [
            Entry(
                tenant,
                f"stream-{self._random.randrange(3)}",
                hour
                - self._random.choice((*RECENT_HOURS, self._random.randrange(60))) * HOUR_NS
                + self._random.randrange(1000),
                f"{self._random.choice(TOKENS)} {self._random.randrange(20)}",
            )
            for _ in range(self._random.randint(1, 4))
        ]
        self._model.try_push(entries)

        async def push() -> None:
            await replica.push(entries)
            self._model.acknowledged.update(entries)

        await self._act(f"push {entries}", replica, push, steps=2)

    async def _compact(self) -> None:
        replica, tenant = self._random.choice(self._replicas), self._random.choice(TENANTS)

        async def compact() -> None:
            erasure = await replica.erasures.of(tenant)
            for period in await replica.janitor.periods(tenant):
                # As if every period were over, so that there is something to merge.
                await replica.compactor.compact(
                    tenant, period, self._clock.time_ns + 100 * HOUR_NS, erasure.within(period)
                )

        await self._act(f"compact {tenant}", replica, compact, steps=60)

    async def _erase(self) -> None:
        replica, tenant = self._random.choice(self._replicas), self._random.choice(TENANTS)

        async def erase() -> None:
            await replica.erasures.carry_out(await replica.erasures.of(tenant))

        await self._act(f"erase {tenant}", replica, erase, steps=60)

    async def _collect(self) -> None:
        replica, tenant = self._random.choice(self._replicas), self._random.choice(TENANTS)

        async def collect() -> None:
            await self._clean(replica, tenant)

        await self._act(f"collect {tenant}", replica, collect, steps=60)

    async def _clean(self, replica: Replica, tenant: str) -> None:
        retention = replica.hidden.retention(tenant)
        assert retention is not None
        for period in await replica.janitor.periods(tenant):
            if replica.janitor.is_over(period, self._clock.time_ns - retention.longest_ns):
                await replica.janitor.expire(tenant, period)
            else:
                await replica.janitor.collect(tenant, period, self._clock.time_ns)

    # -- what happens to them, and what people ask for -----------------------------------------------------------------

    async def _delete(self) -> None:
        tenant, stream = self._random.choice(TENANTS), f"stream-{self._random.randrange(3)}"
        token = self._random.choice((*TOKENS, ""))
        end_ns = self._clock.time_ns - self._random.randrange(20) * HOUR_NS
        start_ns = end_ns - self._random.randrange(1, 40) * HOUR_NS
        query = f'{{stream="{stream}"}}' + (f' |= "{token}"' if token else "")
        made = await self._watcher.deletions.add(tenant, query, start_ns, end_ns)
        self._model.delete(Request(tenant, made.request_id, stream, token, start_ns, end_ns, made.created_ns))
        self.history.append(f"delete {tenant} {query} [{start_ns}, {end_ns}): {made.request_id}")

    async def _cancel(self) -> None:
        """Within the time in which nothing has been erased yet."""
        fresh = [one for one in self._model.requests if self._clock.time_ns < one.created_ns + HOUR_NS]
        if fresh:
            request = self._random.choice(fresh)
            self.history.append(f"cancel {request.request_id}")
            await self._watcher.deletions.cancel(request.tenant, request.request_id, force=False)
            self._model.requests.remove(request)

    async def _advance(self) -> None:
        self._clock.time_ns += self._random.choice((1, 1, 2, 5)) * HOUR_NS
        self.history.append("time goes by")

    async def _forget(self) -> None:
        self.history.append("redis forgets its lists")
        await self._watcher.logs.forget_lists()

    async def _settle(self) -> None:
        """In the end the store alone has everything."""
        await self._let_all_finish()
        await self._end_all()
        await self._delete_leases()
        last = self._made("last")
        await last.takeover.sweep()
        assert await last.logs.states() == []
        self._clock.time_ns += HOUR_NS  # no request can be cancelled any more
        for tenant in TENANTS:
            await last.erasures.carry_out(await last.erasures.of(tenant))
            for period in await last.janitor.periods(tenant):
                await last.compactor.compact(tenant, period, self._clock.time_ns + 100 * HOUR_NS)
            assert all(known.is_processed for known in await last.deletions.requests(tenant))
        await self._check(self._watcher)
        self._clock.time_ns += 25 * HOUR_NS  # orphans are old, and what was deleted is not hidden any more
        for tenant in TENANTS:
            await self._clean(last, tenant)
            for period in await last.janitor.periods(tenant):
                kept = await last.catalog.load(await last.catalog.stored_keys(tenant, period))
                chunks = [meta.key async for meta in self._store.list(f"{tenant}/chunks/")]
                assert {chunk.key for index in kept for chunk in index.chunks} <= set(chunks)
        await self._redis.flushdb()
        await self._check(self._made("from the store alone"))

    async def _check(self, reader: Replica) -> None:
        for tenant in TENANTS:
            # What is acknowledged while the query runs may be seen; what was before must be.
            must, _ = self._model.expected(tenant, self._clock.time_ns)
            found = Counter(await self._found(reader, tenant))
            _, may = self._model.expected(tenant, self._clock.time_ns)
            assert must - set(found) == set(), "lost"
            assert set(found) - may == set(), "should not be seen"
            assert [entry for entry, count in found.items() if count > 1] == [], "seen twice"
            if len(self.history) % 5 == 0:  # which takes longer
                await self._check_counts(reader, tenant)
        await self._reap()

    async def _check_counts(self, reader: Replica, tenant: str) -> None:
        """Counts of hours, most of which were asked for before and may be cached."""
        must, _ = self._model.expected(tenant, self._clock.time_ns)
        hour = self._clock.time_ns // HOUR_NS * HOUR_NS
        metrics = ResultsCacheMetrics(CollectorRegistry())
        cache = ResultsCache(reader.scanner, self._slots, lambda _: LIMITS, self._clock, metrics, HOUR_NS)
        queries = MetricQueries(reader.scanner, None, cache)
        answer = await queries.run(tenant, COUNTS, Steps(hour - 100 * HOUR_NS, hour + HOUR_NS, HOUR_NS))
        _, may = self._model.expected(tenant, self._clock.time_ns)
        for step, vector in enumerate(answer.vectors):
            end_ns = hour + (step - 100) * HOUR_NS
            found = {dict(labels)["stream"]: value for labels, value in vector}
            least, most = (_counts(entries, end_ns) for entries in (must, may))
            assert all(least[stream] <= found.get(stream, 0) for stream in least), "not counted"
            assert all(found[stream] <= most[stream] for stream in found), "should not be counted"

    async def _found(self, reader: Replica, tenant: str) -> list[Entry]:
        found: list[Entry] = []
        now_ns = self._clock.time_ns
        scan = Scan(tenant, now_ns - 100 * HOUR_NS, now_ns + HOUR_NS, lambda labels: True)
        async for batch in reader.scanner.ordered(scan, "forward", ScanStatistics()):
            for stream, timestamp, line in batch.frame.select(STREAM, TIMESTAMP, LINE).iter_rows():
                found.append(Entry(tenant, dict(batch.streams[stream])["stream"], timestamp, line))
        return found


def _counts(entries: set[Entry], end_ns: int) -> Counter[str]:
    """By stream, of the hour that ends then."""
    return Counter(entry.stream for entry in entries if end_ns - HOUR_NS < entry.timestamp_ns <= end_ns)


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_random_life(redis: Redis, seed: int) -> None:
    simulation = Simulation(redis, Random(seed))
    try:
        await simulation.run()
    except BaseException:
        print(f"SIMULATION_SEED={seed}", *simulation.history, sep="\n")
        raise
