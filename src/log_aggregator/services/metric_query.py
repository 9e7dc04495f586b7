"""Metric queries: the entries of each range aggregation become samples, samples become vectors, vectors an answer."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from log_aggregator.engine.batch import Batch
from log_aggregator.engine.columnar import push_line_filters
from log_aggregator.engine.columnar_leaf import ColumnarLeaf
from log_aggregator.engine.combinations import LinesNeeded
from log_aggregator.engine.leaf_plan import plan_leaf
from log_aggregator.engine.metric import evaluate, leaves_of
from log_aggregator.engine.pushdown import push_down_sums
from log_aggregator.engine.range_vector import SeriesSamples, range_span, range_vectors
from log_aggregator.engine.samples import Sampler, compile_sampler
from log_aggregator.engine.selector import compile_selector
from log_aggregator.engine.steps import Steps
from log_aggregator.engine.vector import Vector
from log_aggregator.engine.windows import Windows
from log_aggregator.formats.metadata import parse_metadata
from log_aggregator.logql.ast import MetricExpr, RangeAggregation
from log_aggregator.model.labels import Labels
from log_aggregator.model.segment import LINE, METADATA, STREAM, TIMESTAMP
from log_aggregator.services.duplicates import duplicates, without_rows
from log_aggregator.services.scan import Scan, Scanner, Unit, count_rows
from log_aggregator.services.statistics import ScanStatistics

_CONCURRENT_UNITS = 4


@dataclass(frozen=True, slots=True)
class MetricAnswer:
    """One vector a step."""

    vectors: list[Vector] = field(repr=False)
    statistics: ScanStatistics


class MetricQueries:
    """Raises the store's errors, WalUnavailable, CorruptData, PipelineFailed, MatchingFailed, NotEnabled.

    Without `columnar`, every entry goes through the row-wise stages; the answers are the same.
    """

    def __init__(self, scanner: Scanner, *, columnar: bool = True) -> None:
        self._scanner = scanner
        self._columnar = columnar
        self._slots = asyncio.Semaphore(_CONCURRENT_UNITS)

    async def run(self, tenant: str, expr: MetricExpr, steps: Steps) -> MetricAnswer:
        statistics = ScanStatistics()
        expr = push_down_sums(expr)
        leaves = {leaf: await self._leaf(tenant, leaf, steps, statistics) for leaf in dict.fromkeys(leaves_of(expr))}
        vectors = await asyncio.to_thread(evaluate, expr, leaves, steps)
        return MetricAnswer(vectors, statistics)

    async def _leaf(
        self, tenant: str, leaf: RangeAggregation, steps: Steps, statistics: ScanStatistics
    ) -> Sequence[Vector]:
        plan = plan_leaf(leaf) if self._columnar else None
        start_ns, end_ns = range_span(leaf, steps)
        scan = Scan(tenant, start_ns, end_ns, compile_selector(leaf.range.log.matchers))
        if plan is None:
            return await self._by_rows(leaf, scan, steps, statistics)
        columnar = ColumnarLeaf(plan, Windows(leaf, steps))
        units = await self._scanner.units(scan, statistics)
        repeated = await duplicates(self._scanner, scan, units, statistics)
        async with asyncio.TaskGroup() as group:
            for number, unit in enumerate(units):
                group.create_task(self._add(columnar, unit, scan, repeated.get(number), statistics))
        return await asyncio.to_thread(columnar.vectors)

    async def _add(
        self,
        columnar: ColumnarLeaf,
        unit: Unit,
        scan: Scan,
        repeated: pl.Series | None,
        statistics: ScanStatistics,
    ) -> None:
        """One unit, with no more columns than it takes."""
        async with self._slots:
            columns = columnar.columns(unit.columns, unit.shapes, await self._scanner.streams_of(unit))
            try:
                await self._add_columns(columnar, unit, scan, columns, repeated, statistics)
            except LinesNeeded:
                columns = columnar.everything(unit.columns)
                await self._add_columns(columnar, unit, scan, columns, repeated, statistics)

    async def _add_columns(
        self,
        columnar: ColumnarLeaf,
        unit: Unit,
        scan: Scan,
        columns: Collection[str],
        repeated: pl.Series | None,
        statistics: ScanStatistics,
    ) -> None:
        batch = await self._scanner.load(unit, scan, columns, statistics, forms=columnar.forms(columns))
        if repeated is not None:
            batch = replace(batch, frame=without_rows(batch.frame, repeated), runs=None)
        kept = await asyncio.to_thread(columnar.add, batch)
        count_rows(batch.frame, kept, statistics)

    async def _by_rows(
        self, leaf: RangeAggregation, scan: Scan, steps: Steps, statistics: ScanStatistics
    ) -> Sequence[Vector]:
        pushed = push_line_filters(leaf.range.log)
        sampler = compile_sampler(leaf)
        samples: dict[Labels, SeriesSamples] = {}
        filtered = replace(scan, predicate=pushed.predicate)
        async for batch in self._scanner.ordered(filtered, "forward", statistics):
            await asyncio.to_thread(_sample, batch, sampler, samples)
        return await asyncio.to_thread(range_vectors, leaf, samples, steps)


def _sample(batch: Batch, sampler: Sampler, samples: dict[Labels, SeriesSamples]) -> None:
    for stream, timestamp_ns, line, metadata in batch.frame.select(STREAM, TIMESTAMP, LINE, METADATA).iter_rows():
        sample = sampler.process(timestamp_ns, line, batch.streams[stream], parse_metadata(metadata))
        if sample is not None:
            labels, value = sample
            series = samples.get(labels)
            if series is None:
                series = samples[labels] = SeriesSamples()
            series.times_ns.append(timestamp_ns)
            series.values.append(value)
