"""Random lives of data: pushed, flushed, compacted, deleted, expired, collected by replicas that fail, pause and die.

What readers that live throughout answer is compared with a model in memory: entries, the first of them, counts that are
computed, cached or shared with another reader, extents, and what is found once index objects are made of chunks alone.
SIMULATION_SEEDS=1000 runs that many seeds, SIMULATION_SEED=42 one of them again. A failure prints the seed and its
history.
"""

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from uuid import uuid4

import pytest
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from clocks import SetClock
from fated_replicas import SEEDS, TENANTS, FatedReplicas
from log_aggregator.engine.query_memory import QueryMemory
from log_aggregator.engine.steps import Steps
from log_aggregator.errors import LogAggregatorError
from log_aggregator.formats.chunk import MAX, MIN, ROWS
from log_aggregator.formats.subquery import decode_subquery, encode_subquery
from log_aggregator.logql.ast import LogExpr, RangeAggregation
from log_aggregator.logql.parser import parse_expr
from log_aggregator.model.limits import Limits, StreamRetention
from log_aggregator.model.segment import LINE, STREAM, TIMESTAMP
from log_aggregator.services import chunk_rows
from log_aggregator.services.compaction_plan import Run
from log_aggregator.services.extents import Extents, StreamExtents
from log_aggregator.services.fan_out import FanOut, LeafTask
from log_aggregator.services.leaf_units import LeafUnits
from log_aggregator.services.log_query import LogQueries, LogQuery
from log_aggregator.services.metric_query import MetricQueries
from log_aggregator.services.rebuild import rebuild_indexes
from log_aggregator.services.results_cache import ResultsCache, ResultsCacheMetrics
from log_aggregator.services.statistics import ScanStatistics
from log_aggregator.services.subquery import leaf_of, subquery_of, units_of
from log_aggregator.services.units import ChunkUnit, Scan
from log_aggregator.storage.memory import MemoryStore
from log_aggregator.wal.names import Names
from log_aggregator.wal.result_slots import ResultSlots
from replica import HOUR_NS, POLICY, Entry, Replica

ACTIONS = 70
# At once, as replicas flush by themselves, too: each key with its content; and these keys instead of all there are.
ALL_KEYS = """
local found = {}
for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
  found[#found + 1] = key
  found[#found + 1] = redis.call('DUMP', key)
end
return found
"""
RESTORED = """
for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('DEL', key) end
for number, key in ipairs(KEYS) do redis.call('RESTORE', key, 0, ARGV[number + 1]) end
"""
RECENT_HOURS = (1, 1, 1, 2)  # most logs come in time, so that periods have several runs
TOKENS = ("red", "green", "blue")
IDS = [hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest() for number in range(20)]
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


class Sharing(FanOut):
    """All that others may compute of this reader's queries, one of them does."""

    def __init__(self, worker: Replica) -> None:
        self._worker = worker

    async def add(self, task: LeafTask, units: LeafUnits) -> None:
        shared = [one for one in task.units if isinstance(one.unit, ChunkUnit) and one.unit.hidden is None]
        text = task.question.text
        assert text is not None
        subquery = decode_subquery(encode_subquery(subquery_of("query", task.question, text, shared)))
        columnar, scan = leaf_of(subquery, QueryMemory(0))
        theirs = await units_of(self._worker.scanner, scan, subquery.units)
        await LeafUnits(self._worker.scanner).add(theirs, columnar, scan, ScanStatistics())
        task.columnar.merge(columnar.partial())
        known = set(map(id, shared))
        own = [one for one in task.units if id(one) not in known]
        await units.add(own, task.columnar, task.scan, task.statistics)


class Reader:
    """A replica that lives on, with what it remembers, and the ways in which it answers."""

    def __init__(self, replica: Replica, slots: ResultSlots, clock: SetClock, worker: Replica | None = None) -> None:
        metrics = ResultsCacheMetrics(CollectorRegistry())
        cache = ResultsCache(replica.scanner, slots, lambda _: LIMITS, clock, metrics, HOUR_NS)
        self.replica = replica
        self.logs = LogQueries(replica.scanner)
        self.metrics = (
            MetricQueries(replica.scanner),
            MetricQueries(replica.scanner, None, cache),
            MetricQueries(replica.scanner, Sharing(worker or replica)),
        )
        self.extents = StreamExtents(replica.scanner, replica.catalog, HOUR_NS, lambda _: LIMITS)


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
        other = self._made("other watcher")
        self._readers = (self._reader(self._watcher, other), self._reader(other, self._watcher))

    async def run(self) -> None:
        try:
            await self._begin_all()
            actions = (
                *(self._push, self._push, self._push, self._flush, self._flush, self._compact, self._compact),
                *(self._sweep, self._erase, self._collect, self._delete, self._cancel),
                *(self._expire_leases, self._resume, self._resume, self._kill, self._advance, self._forget),
                self._lose_commit,
            )
            for _ in range(ACTIONS):
                await self._random.choice(actions)()
                await self._check(*self._readers)
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

    def _reader(self, replica: Replica, worker: Replica | None = None) -> Reader:
        return Reader(replica, self._slots, self._clock, worker)

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
                f"{self._random.choice(TOKENS)} {self._random.choice(IDS)}",
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
            await replica.erasures.carry_out(await replica.erasures.of(tenant), [])

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

    async def _lose_commit(self) -> None:
        """Redis fails over to a state from right before a commit, of which some know."""
        if self._under_way:
            return
        replica = self._random.choice(self._replicas)
        replica.gate.fates = {}
        replica.gate.resumed.set()  # what was held may be a flush that the replica began by itself
        self.history.append(f"{replica.holder}: flush, which redis forgets")
        pattern = self._names.epochs.replace("epochs", "*")
        older = await self._redis.eval(ALL_KEYS, 0, pattern)
        with suppress(LogAggregatorError, ExceptionGroup):  # its lease may have run out
            await asyncio.wait_for(replica.flush(), self.patience_seconds)
        await self._check(*self._readers)
        await self._redis.eval(RESTORED, len(older[::2]), *older[::2], pattern, *older[1::2])

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
            await last.erasures.carry_out(await last.erasures.of(tenant), [])
            for period in await last.janitor.periods(tenant):
                await last.compactor.compact(tenant, period, self._clock.time_ns + 100 * HOUR_NS)
            assert all(known.is_processed for known in await last.deletions.requests(tenant))
        await self._check(*self._readers)
        await self._check_entries(await self._rebuilt())
        self._clock.time_ns += 25 * HOUR_NS  # orphans are old, and what was deleted is not hidden any more
        for tenant in TENANTS:
            await self._clean(last, tenant)
            for period in await last.janitor.periods(tenant):
                kept = await last.catalog.load(await last.catalog.stored_keys(tenant, period))
                chunks = [meta.key async for meta in self._store.list(f"{tenant}/chunks/")]
                assert {chunk.key for index in kept for chunk in index.chunks} <= set(chunks)
        await self._check_entries(await self._rebuilt())
        await self._redis.flushdb()
        await self._check(self._reader(self._made("from the store alone")))

    async def _rebuilt(self) -> Replica:
        """A reader of copies of the logs and the store, where index objects are made of the chunks."""
        names = Names(uuid4().hex)
        await self._redis.copy(self._names.epochs, names.epochs)
        for wal in [state.wal for state in await self._watcher.logs.states()]:
            await self._redis.copy(self._names.log(wal), names.log(wal))
        store = self._store.copy()
        await store.delete([meta.key async for meta in store.list("") if "/index/" in meta.key])
        await rebuild_indexes(store)
        return Replica(self._redis, names, store, "with what is rebuilt", clock=self._clock, limits=LIMITS)

    async def _check(self, *readers: Reader) -> None:
        """One of the readers at a time, so that the others fall behind."""
        reader = self._random.choice(readers)
        await self._check_entries(reader.replica)
        if len(self.history) % 5 == 0:  # which takes longer
            for tenant in TENANTS:
                await self._check_first(reader, tenant)
                await self._check_counts(reader, tenant)
                await self._check_extents(reader, tenant)
        if len(self.history) % 20 == 0:
            # What was erased may be in chunks that are still there, and is hidden for a day.
            await self._check_entries(await self._rebuilt(), is_exact=False)
        await self._reap()

    async def _check_entries(self, reader: Replica, *, is_exact: bool = True) -> None:
        for tenant in TENANTS:
            # What is acknowledged while the query runs may be seen; what was before must be.
            must, _ = self._model.expected(tenant, self._clock.time_ns)
            found = Counter(await self._found(reader, tenant))
            _, may = self._model.expected(tenant, self._clock.time_ns)
            assert must - set(found) == set(), "lost"
            assert not is_exact or set(found) - may == set(), "should not be seen"
            assert [entry for entry, count in found.items() if count > 1] == [], "seen twice"

    async def _check_first(self, reader: Reader, tenant: str) -> None:
        """The first entries of a log query, in either direction, whose lines have a word."""
        wanted = self._random.choice(("", *TOKENS, self._random.choice(IDS)))
        expr = parse_expr(f'{{stream=~".+"}} |= "{wanted}"')
        assert isinstance(expr, LogExpr)
        limit, sign = self._random.choice((1, 5, 100)), self._random.choice((1, -1))
        must, _ = self._model.expected(tenant, self._clock.time_ns)
        now_ns = self._clock.time_ns
        query = LogQuery(expr, now_ns - 100 * HOUR_NS, now_ns + HOUR_NS, limit, "forward" if sign > 0 else "backward")
        rows = (await reader.logs.run(tenant, query)).rows
        _, may = self._model.expected(tenant, self._clock.time_ns)
        found = [Entry(tenant, dict(row.stream)["stream"], row.timestamp_ns, row.line) for row in rows]
        places = [sign * entry.timestamp_ns for entry in found]
        assert len(set(found)) == len(found) <= limit, "seen twice"
        assert places == sorted(places), "not in order"
        assert all(entry in may and wanted in entry.line for entry in found), "should not be among the first"
        missing = {entry for entry in must if wanted in entry.line} - set(found)
        if len(found) == limit:
            missing = {entry for entry in missing if sign * entry.timestamp_ns < places[-1]}
        assert missing == set(), "not among the first"

    async def _check_counts(self, reader: Reader, tenant: str) -> None:
        """Counts of hours, most of which were asked for before and may be cached."""
        wanted = self._random.choice(("", *TOKENS, self._random.choice(IDS)))
        expr = parse_expr(f'count_over_time({{stream=~".+"}} |= "{wanted}" [1h])')
        assert isinstance(expr, RangeAggregation)
        must, _ = self._model.expected(tenant, self._clock.time_ns)
        hour = self._clock.time_ns // HOUR_NS * HOUR_NS
        queries = self._random.choice(reader.metrics)
        answer = await queries.run(tenant, expr, Steps(hour - 100 * HOUR_NS, hour + HOUR_NS, HOUR_NS))
        _, may = self._model.expected(tenant, self._clock.time_ns)
        must, may = ({entry for entry in entries if wanted in entry.line} for entries in (must, may))
        for step, vector in enumerate(answer.vectors):
            end_ns = hour + (step - 100) * HOUR_NS
            found = {dict(labels)["stream"]: value for labels, value in vector}
            least, most = (_counts(entries, end_ns) for entries in (must, may))
            assert all(least[stream] <= found.get(stream, 0) for stream in least), "not counted"
            assert all(found[stream] <= most[stream] for stream in found), "should not be counted"

    async def _check_extents(self, reader: Reader, tenant: str) -> None:
        """Each visible entry lies in an extent of its stream, and extents are of streams that were pushed."""
        must, _ = self._model.expected(tenant, self._clock.time_ns)
        end_ns = self._clock.time_ns - self._random.randrange(3) * HOUR_NS
        start_ns = end_ns - self._random.choice((1, 10, 100)) * HOUR_NS

        def told(extents: Extents) -> list[tuple[str, int, int, int]]:
            rows = extents.frame.select(MIN, MAX, ROWS).iter_rows()
            streams = extents.table.streams(extents.frame[STREAM])
            return [(dict(labels)["stream"], *row) for labels, row in zip(streams, rows, strict=True)]

        extents = await reader.extents.ask(tenant, start_ns, end_ns, told)
        within = {entry for entry in must if start_ns <= entry.timestamp_ns < end_ns}
        tried = {entry for entry in self._model.tried if entry.tenant == tenant}
        rows: Counter[str] = Counter()
        for stream, low, high, count in extents:
            ends = {entry.timestamp_ns for entry in tried if entry.stream == stream}
            assert {low, high} <= ends, "an extent of nothing"
            rows[stream] += count
        assert Counter(entry.stream for entry in within) <= rows, "in no extent's rows"
        for entry in within:
            assert any(
                stream == entry.stream and low <= entry.timestamp_ns <= high for stream, low, high, _ in extents
            ), "in no extent"

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
async def test_a_random_life(redis: Redis, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_rows, "rows_per_group", lambda frame: 3)  # so that a chunk has several
    simulation = Simulation(redis, Random(seed))
    try:
        await simulation.run()
    except BaseException:
        print(f"SIMULATION_SEED={seed}", *simulation.history, sep="\n")
        raise
