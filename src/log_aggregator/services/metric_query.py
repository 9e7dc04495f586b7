"""Metric queries: the entries of each range aggregation become samples, samples become vectors, vectors an answer."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import polars as pl

from log_aggregator.engine.batch import Batch
from log_aggregator.engine.columnar import push_line_filters
from log_aggregator.engine.columnar_leaf import ColumnarLeaf
from log_aggregator.engine.entry_labels import shows_error
from log_aggregator.engine.leaf_plan import plan_leaf, with_stages
from log_aggregator.engine.metric import Part, aggregated_leaves, evaluate
from log_aggregator.engine.pushdown import push_down
from log_aggregator.engine.query_memory import HeldSeries, QueryMemory
from log_aggregator.engine.range_vector import SeriesSamples, range_vectors
from log_aggregator.engine.samples import Sampler, compile_sampler
from log_aggregator.engine.skip_filter import needles_of
from log_aggregator.engine.steps import Steps
from log_aggregator.engine.vector import Vector
from log_aggregator.engine.windows import Windows, edges_fit, in_windows
from log_aggregator.formats.metadata import parse_metadata
from log_aggregator.logql.ast import Grouping, MetricExpr, RangeAggregation, VectorAggregation
from log_aggregator.logql.leaves import leaves_of
from log_aggregator.model.labels import Labels
from log_aggregator.model.segment import LINE, METADATA, STREAM, TIMESTAMP
from log_aggregator.services.damage import current_damage
from log_aggregator.services.duplicates import duplicates
from log_aggregator.services.fan_out import FanOut, LeafTask
from log_aggregator.services.instant_splits import is_split, merged_splits
from log_aggregator.services.leaf_units import LeafUnit, LeafUnits
from log_aggregator.services.results_cache import ResultsCache
from log_aggregator.services.scan import Scanner
from log_aggregator.services.statistics import ScanStatistics
from log_aggregator.services.subquery import Question, distinct_leaves, scan_of
from log_aggregator.services.units import Scan

# A time and a value.
_SAMPLE_BYTES = 16


@dataclass(frozen=True, slots=True)
class MetricAnswer:
    """One vector a step."""

    vectors: list[Vector] = field(repr=False)
    statistics: ScanStatistics


class MetricQueries:
    """Raises the store's errors, WalUnavailable, CorruptData, PipelineFailed, MatchingFailed, NotEnabled,
    NotEvaluable, QueryTooLarge.

    Without `columnar`, every entry goes through the row-wise stages; the answers are the same.
    """

    def __init__(
        self,
        scanner: Scanner,
        fan_out: FanOut | None = None,
        cache: ResultsCache | None = None,
        *,
        columnar: bool = True,
        memory_bytes: int = 0,
    ) -> None:
        """Without a `fan_out`, other replicas are not asked; without a `cache`, everything is computed.

        `memory_bytes` are what one query may hold, 0 for no limit.
        """
        self._scanner = scanner
        self._fan_out = fan_out
        self._cache = cache
        self._columnar = columnar
        self._memory_bytes = memory_bytes
        self._units = LeafUnits(scanner)

    async def run(
        self, tenant: str, expr: MetricExpr, steps: Steps, *, fresh: bool = False, most_series: int = 0
    ) -> MetricAnswer:
        """What is to be `fresh` is not taken from the cache.

        An answer that has more than `most_series` (0 for no limit) may be given up early. Raises TooManySeries then.
        """
        most_series = most_series if _has_all_series_of_leaf(expr) else 0
        statistics, memory = ScanStatistics(), QueryMemory(self._memory_bytes, most_series)
        splits = steps == Steps.at(steps.first_ns) and is_split(expr)
        around = {} if splits else aggregated_leaves(push_down(expr))
        leaves: dict[Part, Sequence[Vector]] = {}
        for number, leaf in enumerate(distinct_leaves(expr)):
            part = around.get(leaf, leaf)
            question = Question(tenant, expr, number, steps)
            if self._cache is None or fresh:
                leaves[part] = await self._part(question, part, statistics, memory)
            else:
                compute = partial(self._at_steps, question, part, statistics, memory)
                leaves[part] = await self._cache.vectors(tenant, part, steps, compute)
        if splits:
            whole = {leaf for leaf in leaves_of(expr) if leaf.grouping is not None}
            for leaf in distinct_leaves(expr):
                if leaf not in whole:
                    leaves[leaf] = [merged_splits(vector, leaf) for vector in leaves[leaf]]
        vectors = await asyncio.to_thread(evaluate, push_down(expr), leaves, steps)
        return MetricAnswer(vectors, statistics)

    async def _at_steps(
        self,
        question: Question,
        part: Part,
        statistics: ScanStatistics,
        memory: QueryMemory,
        steps: Steps,
    ) -> Sequence[Vector]:
        return await self._part(replace(question, steps=steps), part, statistics, memory)

    async def _part(
        self, question: Question, part: Part, statistics: ScanStatistics, memory: QueryMemory
    ) -> Sequence[Vector]:
        (leaf,) = leaves_of(part)
        plan = plan_leaf(leaf) if self._columnar and edges_fit(leaf, question.steps) else None
        scan = scan_of(question.tenant, leaf, question.steps)
        scan = replace(scan, needles=needles_of(leaf.range.log.stages), memory=memory)
        if plan is None:
            vectors = await self._by_rows(leaf, scan, question.steps, statistics)
            return vectors if part == leaf else await asyncio.to_thread(evaluate, part, {leaf: vectors}, question.steps)
        while True:
            columnar = ColumnarLeaf(plan, Windows(leaf, question.steps, memory))
            if await self._add_units(question, columnar, scan, statistics):
                if isinstance(part, VectorAggregation):
                    return await asyncio.to_thread(columnar.aggregated, part)
                return await asyncio.to_thread(columnar.vectors)

    async def _add_units(
        self, question: Question, columnar: ColumnarLeaf, scan: Scan, statistics: ScanStatistics
    ) -> bool:
        """Adds all of the scan to the leaf. False: begin anew.

        So it is when a row group turned out to be damaged after its rows had been chosen over their duplicates in
        others; now these will be chosen.
        """
        damage = current_damage()
        found = await self._scanner.units(scan, statistics)
        repeated = await duplicates(self._scanner, scan, found, statistics)
        units = [LeafUnit(unit, repeated.get(number)) for number, unit in enumerate(found)]
        known = damage.row_groups if damage is not None else 0
        # Other replicas would read what is left out here.
        if self._fan_out is None or damage:
            await self._units.add(units, columnar, scan, statistics)
        else:
            await self._fan_out.add(LeafTask(question, columnar, scan, units, statistics), self._units)
        return damage is None or damage.row_groups == known or not repeated

    async def _by_rows(
        self, leaf: RangeAggregation, scan: Scan, steps: Steps, statistics: ScanStatistics
    ) -> Sequence[Vector]:
        pushed = push_line_filters(leaf.range.log.stages)
        sampler = compile_sampler(with_stages(leaf, pushed.rest))
        samples: dict[Labels, SeriesSamples] = {}
        held = HeldSeries(scan.memory)
        masks = [mask for mask in (in_windows(leaf, steps), pushed.predicate) if mask is not None]
        filtered = replace(scan, predicate=pl.all_horizontal(masks) if masks else None)
        async for batch in self._scanner.ordered(filtered, "forward", statistics):
            await asyncio.to_thread(_sample, batch, sampler, samples, held, scan.memory)
        return await asyncio.to_thread(range_vectors, leaf, samples, steps)


def _has_all_series_of_leaf(expr: MetricExpr) -> bool:
    """Whether each series of the only aggregation of entries, but for those with errors, is one of the answer."""
    leaf = pushed = push_down(expr)
    if isinstance(pushed, VectorAggregation):
        leaf = pushed.expr
        if pushed.operation not in ("sum", "max", "min"):
            return False
        if isinstance(leaf, RangeAggregation) and leaf.grouping != (pushed.grouping or Grouping(())):
            return False
    return isinstance(leaf, RangeAggregation) and leaf.operation not in ("absent_over_time", "rate_counter")


def _sample(
    batch: Batch, sampler: Sampler, samples: dict[Labels, SeriesSamples], held: HeldSeries, memory: QueryMemory
) -> None:
    """Raises QueryTooLarge, TooManySeries."""
    count = 0
    for stream, timestamp_ns, line, metadata in batch.frame.select(STREAM, TIMESTAMP, LINE, METADATA).iter_rows():
        sample = sampler.process(timestamp_ns, line, batch.streams[stream], parse_metadata(metadata))
        if sample is not None:
            labels, value = sample
            series = samples.get(labels)
            if series is None:
                held.add(1, with_error=shows_error(labels))
                series = samples[labels] = SeriesSamples()
            count += 1
            series.times_ns.append(timestamp_ns)
            series.values.append(value)
    memory.hold("samples", _SAMPLE_BYTES * count)
