"""Metric queries: the entries of each range aggregation become samples, samples become vectors, vectors an answer."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from log_aggregator.engine.batch import Batch
from log_aggregator.engine.columnar import push_line_filters
from log_aggregator.engine.metric import evaluate, leaves_of
from log_aggregator.engine.pushdown import push_down_sums
from log_aggregator.engine.range_vector import SeriesSamples, range_span, range_vectors
from log_aggregator.engine.samples import Sampler, compile_sampler
from log_aggregator.engine.selector import compile_selector
from log_aggregator.engine.steps import Steps
from log_aggregator.engine.vector import Vector
from log_aggregator.formats.metadata import parse_metadata
from log_aggregator.logql.ast import MetricExpr, RangeAggregation
from log_aggregator.model.labels import Labels
from log_aggregator.model.segment import LINE, METADATA, STREAM, TIMESTAMP
from log_aggregator.services.scan import Scan, Scanner
from log_aggregator.services.statistics import ScanStatistics


@dataclass(frozen=True, slots=True)
class MetricAnswer:
    """One vector a step."""

    vectors: list[Vector] = field(repr=False)
    statistics: ScanStatistics


class MetricQueries:
    """Raises the store's errors, WalUnavailable, CorruptData, PipelineFailed, MatchingFailed, NotEnabled."""

    def __init__(self, scanner: Scanner) -> None:
        self._scanner = scanner

    async def run(self, tenant: str, expr: MetricExpr, steps: Steps) -> MetricAnswer:
        statistics = ScanStatistics()
        expr = push_down_sums(expr)
        leaves = {leaf: await self._leaf(tenant, leaf, steps, statistics) for leaf in dict.fromkeys(leaves_of(expr))}
        vectors = await asyncio.to_thread(evaluate, expr, leaves, steps)
        return MetricAnswer(vectors, statistics)

    async def _leaf(
        self, tenant: str, leaf: RangeAggregation, steps: Steps, statistics: ScanStatistics
    ) -> Sequence[Vector]:
        start_ns, end_ns = range_span(leaf, steps)
        log = leaf.range.log
        pushed = push_line_filters(log)
        scan = Scan(tenant, start_ns, end_ns, compile_selector(log.matchers), pushed.predicate)
        sampler = compile_sampler(leaf)
        samples: dict[Labels, SeriesSamples] = {}
        async for batch in self._scanner.ordered(scan, "forward", statistics):
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
