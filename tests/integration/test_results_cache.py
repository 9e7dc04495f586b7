"""Cached results are those that would be computed, whatever has happened to the logs in between."""

from prometheus_client import CollectorRegistry

from clocks import SetClock
from cluster import TENANT, Cluster
from log_aggregator.engine.steps import Steps
from log_aggregator.engine.vector import Vector
from log_aggregator.logql.ast import LogExpr
from log_aggregator.logql.parser import parse_expr
from log_aggregator.model.limits import Limits
from log_aggregator.services.metric_query import MetricAnswer, MetricQueries
from log_aggregator.services.results_cache import ResultsCache, ResultsCacheMetrics
from log_aggregator.wal.result_slots import SLOTS, ResultSlots
from replica import HOUR_NS, Entry, Replica

MINUTE_NS = HOUR_NS // 60
STEPS = Steps.aligned(0, 4 * HOUR_NS - 10 * MINUTE_NS, 10 * MINUTE_NS)  # all of four intervals
QUERY = 'sum by (stream) (count_over_time({stream=~".+"}[10m]))'


class Asker:
    """A replica with a cache, and one that has none to compare with."""

    def __init__(self, cluster: Cluster, now_ns: int = 5 * HOUR_NS, limits: Limits | None = None) -> None:
        self.clock = SetClock(now_ns)
        kept = limits or Limits(retention_period=0)
        self.replica = Replica(cluster.redis, cluster.names, cluster.store, "asker", clock=self.clock, limits=kept)
        metrics = ResultsCacheMetrics(CollectorRegistry())
        slots = ResultSlots(cluster.redis, cluster.names)
        self.cache = ResultsCache(self.replica.scanner, slots, lambda _: kept, self.clock, metrics, HOUR_NS)
        self._cached = MetricQueries(self.replica.scanner, None, self.cache)
        self._computed = MetricQueries(self.replica.scanner)

    async def ask(self, text: str = QUERY, steps: Steps = STEPS) -> MetricAnswer:
        """From the cache, as far as it goes; the same as without."""
        expr = parse_expr(text)
        assert not isinstance(expr, LogExpr)
        answer = await self._cached.run(TENANT, expr, steps)
        computed = await self._computed.run(TENANT, expr, steps)
        assert sorted_vectors(answer.vectors) == sorted_vectors(computed.vectors)
        return answer


def sorted_vectors(vectors: list[Vector]) -> list[Vector]:
    return [sorted(vector) for vector in vectors]


def total(answer: MetricAnswer) -> float:
    return sum(sample.value for vector in answer.vectors for sample in vector)


async def flushed(cluster: Cluster, times: range) -> Replica:
    writer = await cluster.writer()
    await writer.push([Entry(TENANT, f"stream-{number % 3}", at, f"line {at}") for number, at in enumerate(times)])
    await writer.flush()
    return writer


async def test_what_is_past_is_computed_once(cluster: Cluster) -> None:
    await flushed(cluster, range(1, 4 * HOUR_NS, MINUTE_NS))
    asker = Asker(cluster)
    assert (await asker.ask()).statistics.lines == 230
    assert (await asker.ask()).statistics.lines == 0


async def test_other_replicas_find_it_too(cluster: Cluster) -> None:
    await flushed(cluster, range(1, 4 * HOUR_NS, MINUTE_NS))
    await Asker(cluster).ask()
    assert (await Asker(cluster).ask()).statistics.lines == 0


async def test_parts_of_a_longer_query_are_found(cluster: Cluster) -> None:
    await flushed(cluster, range(1, 4 * HOUR_NS, MINUTE_NS))
    asker = Asker(cluster)
    await asker.ask(steps=Steps.aligned(HOUR_NS, 3 * HOUR_NS, 10 * MINUTE_NS))
    answer = await asker.ask()
    assert 0 < answer.statistics.lines < 230


async def test_a_query_that_differs_is_computed(cluster: Cluster) -> None:
    await flushed(cluster, range(1, 4 * HOUR_NS, MINUTE_NS))
    asker = Asker(cluster)
    await asker.ask()
    for text in (QUERY.replace('".+"', '"str.+"'), QUERY.replace("10m", "9m"), QUERY.replace("[", '|= "1" [')):
        assert (await asker.ask(text)).statistics.lines > 200
    assert (await asker.ask(steps=Steps.aligned(0, 4 * HOUR_NS, 5 * MINUTE_NS))).statistics.lines > 200


async def test_aggregations_of_the_same_series_are_told_apart(cluster: Cluster) -> None:
    await flushed(cluster, range(1, 4 * HOUR_NS, MINUTE_NS))
    asker = Asker(cluster)
    inner = QUERY.removeprefix("sum by (stream) ")
    for operation, expected in (("count", 3), ("max", 4)):
        for lines in (230, 0):
            answer = await asker.ask(f"{operation} {inner}")
            assert answer.statistics.lines == lines
            assert [value for _, value in answer.vectors[12]] == [expected]


async def test_fresh_is_computed(cluster: Cluster) -> None:
    await flushed(cluster, range(1, 4 * HOUR_NS, MINUTE_NS))
    asker = Asker(cluster)
    await asker.ask()
    expr = parse_expr(QUERY)
    assert not isinstance(expr, LogExpr)
    queries = MetricQueries(asker.replica.scanner, None, asker.cache)
    assert (await queries.run(TENANT, expr, STEPS, fresh=True)).statistics.lines == 230


async def test_the_last_minutes_are_computed_anew(cluster: Cluster) -> None:
    await flushed(cluster, range(1, 4 * HOUR_NS, MINUTE_NS))
    asker = Asker(cluster, 3 * HOUR_NS + 59 * MINUTE_NS)
    await asker.ask()
    assert (await asker.ask()).statistics.lines == 60
    asker.clock.time_ns += 2 * MINUTE_NS
    assert (await asker.ask()).statistics.lines == 60
    assert (await asker.ask()).statistics.lines == 0


async def test_a_late_push_into_a_cached_interval_is_seen_at_once(cluster: Cluster) -> None:
    writer = await flushed(cluster, range(1, 4 * HOUR_NS, MINUTE_NS))
    asker = Asker(cluster)
    assert total(await asker.ask()) == 230
    await writer.push([Entry(TENANT, "late", HOUR_NS + MINUTE_NS, "late")])
    for _ in range(2):
        assert total(await asker.ask()) == 231
    await writer.flush()
    for _ in range(2):
        assert total(await asker.ask()) == 231


async def test_a_late_push_leaves_other_intervals_cached(cluster: Cluster) -> None:
    writer = await flushed(cluster, range(1, 4 * HOUR_NS, MINUTE_NS))
    asker = Asker(cluster)
    await asker.ask()
    await writer.push([Entry(TENANT, "late", HOUR_NS + MINUTE_NS, "late")])
    assert 61 <= (await asker.ask()).statistics.lines <= 75


async def test_a_deletion_takes_effect_at_once_and_ends_with_its_cancellation(cluster: Cluster) -> None:
    await flushed(cluster, range(1, 4 * HOUR_NS, MINUTE_NS))
    asker = Asker(cluster)
    assert total(await asker.ask()) == 230
    deletions = asker.replica.deletions
    request = await deletions.add(TENANT, '{stream="stream-0"}', HOUR_NS, 2 * HOUR_NS)
    for _ in range(2):
        assert total(await asker.ask()) == 210
    await deletions.cancel(TENANT, request.request_id, force=True)
    assert total(await asker.ask()) == 230


async def test_a_deletion_that_was_carried_out_stays_in_effect(cluster: Cluster) -> None:
    await flushed(cluster, range(1, 4 * HOUR_NS, MINUTE_NS))
    asker = Asker(cluster)
    await asker.ask()
    await asker.replica.deletions.add(TENANT, '{stream="stream-0"}', HOUR_NS, 2 * HOUR_NS)
    asker.clock.time_ns += 2 * HOUR_NS
    erasures = asker.replica.erasures
    await erasures.carry_out(await erasures.of(TENANT), [])
    asker.clock.time_ns += 48 * HOUR_NS
    assert total(await asker.ask()) == 210
    again = await asker.ask()
    assert (total(again), again.statistics.lines) == (210, 0)


async def test_what_expires_disappears(cluster: Cluster) -> None:
    await flushed(cluster, range(1, 4 * HOUR_NS, MINUTE_NS))
    asker = Asker(cluster, limits=Limits(retention_period=24 * HOUR_NS))
    assert total(await asker.ask()) == 230
    for hours, left in ((26, 110), (27, 50), (28, 0), (29, 0)):
        asker.clock.time_ns = hours * HOUR_NS
        assert total(await asker.ask()) == left


async def test_compaction_changes_no_answer(cluster: Cluster) -> None:
    writer = await flushed(cluster, range(1, 4 * HOUR_NS, MINUTE_NS))
    await writer.push([Entry(TENANT, "late", HOUR_NS + MINUTE_NS, "late")])
    await writer.flush()
    asker = Asker(cluster)
    await asker.ask()
    assert await asker.replica.compactor.compact(TENANT, HOUR_NS, 100 * HOUR_NS) is not None
    for _ in range(2):
        assert total(await asker.ask()) == 231


async def test_damaged_and_foreign_results_are_not_used(cluster: Cluster) -> None:
    await flushed(cluster, range(1, 4 * HOUR_NS, MINUTE_NS))
    await Asker(cluster).ask()
    names = [cluster.names.result(slot) for slot in range(SLOTS)]
    stored = [name for name in names if await cluster.redis.exists(name)]
    assert len(stored) == 4
    first = await cluster.redis.get(stored[0])
    assert isinstance(first, bytes)
    for name, data in zip(stored[1:], (first, first[:-1] + b"?", b""), strict=True):
        await cluster.redis.set(name, data)
    assert (await Asker(cluster).ask()).statistics.lines > 0
