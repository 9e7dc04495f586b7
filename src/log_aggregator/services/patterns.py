"""The patterns of a tenant's lines over time: those stored with chunks, and those of unflushed lines."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from log_aggregator.engine.batch import Batch
from log_aggregator.engine.log_patterns import RESOLUTION_NS, PatternMiner
from log_aggregator.engine.selector import Selector
from log_aggregator.formats.patterns import decode_patterns
from log_aggregator.logql.ast import Matcher
from log_aggregator.model.labels import Labels
from log_aggregator.model.limits import Limits
from log_aggregator.model.segment import LINE, METADATA, STREAM, TIMESTAMP
from log_aggregator.services.pattern_mining import counts_of, level_of
from log_aggregator.services.query_limits import deadline
from log_aggregator.services.scan import Scanner
from log_aggregator.services.statistics import ScanStatistics
from log_aggregator.services.tenants_asked import tenants_asked
from log_aggregator.services.units import ChunkUnit, Scan, TailUnit

# As in Loki: those of fewer lines are chance.
_MOST_PATTERNS = 300
_LEAST_LINES = 30
# Where lines are further apart, Loki began anew to count.
_LONGEST_GAP_NS = 3_600_000_000_000
# No chart has so many points, and zeros for three hundred patterns would take more memory than what was counted.
_MOST_STEPS_WITH_GAPS = 2000
# Of unflushed lines: parts that are looked at, and lines in all of them together.
_MOST_UNITS = 256
_MOST_LINES = 16_384
_COLUMNS = (STREAM, TIMESTAMP, LINE, METADATA)


@dataclass(frozen=True, slots=True)
class PatternSeries:
    """How many lines have the pattern in each step, 0 in gaps. Times in nanoseconds, ascending; no level is ""."""

    pattern: str
    level: str
    samples: list[tuple[int, int]] = field(repr=False)


class PatternQueries:
    """Raises QueryTimeout, the store's errors, WalUnavailable, CorruptData."""

    def __init__(self, scanner: Scanner) -> None:
        self._scanner = scanner

    async def run(
        self, tenant: str, start_ns: int, end_ns: int, step_ns: int, selector: Sequence[Matcher], limits: Limits
    ) -> list[PatternSeries]:
        """The most frequent first."""
        if end_ns <= start_ns:
            return []
        async with deadline(limits):
            miner = PatternMiner()
            for one, own in tenants_asked(tenant, selector):
                await self._add(miner, Scan(one, start_ns, end_ns, Selector(own)))
            return await asyncio.to_thread(_series, miner, start_ns, end_ns, max(step_ns, RESOLUTION_NS))

    async def _add(self, miner: PatternMiner, scan: Scan) -> None:
        statistics = ScanStatistics()
        units = await self._scanner.units(scan, statistics)
        chunks = {
            unit.index.chunks[unit.chunk].key: unit.index.chunks[unit.chunk]
            for unit in units
            if isinstance(unit, ChunkUnit)
        }
        for chunk in chunks.values():
            await asyncio.to_thread(_add_stored, miner, chunk.patterns, scan.accepts)
        await self._add_tail(miner, [unit for unit in units if isinstance(unit, TailUnit)], scan, statistics)

    async def _add_tail(
        self, miner: PatternMiner, units: Sequence[TailUnit], scan: Scan, statistics: ScanStatistics
    ) -> None:
        stride = max(1, -(-len(units) // _MOST_UNITS))
        chosen = units[::stride]
        for unit in chosen:
            batch = await self._scanner.load(unit, scan, _COLUMNS, statistics)
            await asyncio.to_thread(_add_lines, miner, batch, _MOST_LINES // len(chosen), stride)


def _add_stored(miner: PatternMiner, patterns: bytes, accepts: Callable[[Labels], bool]) -> None:
    for of_stream in decode_patterns(patterns):
        if accepts(of_stream.stream):
            for stored in of_stream.patterns:
                miner.add_pattern(stored.pattern, stored.level, counts_of(stored))


def _add_lines(miner: PatternMiner, batch: Batch, limit: int, weight: int) -> None:
    """Evenly spread lines, no more than the limit, each for those around it and in as many batches as the weight."""
    stride = max(1, -(-batch.rows // limit))
    for _, timestamp_ns, line, metadata in batch.frame.gather_every(stride).select(_COLUMNS).iter_rows():
        miner.add_line(line, level_of(metadata), timestamp_ns, stride * weight)


def _series(miner: PatternMiner, start_ns: int, end_ns: int, step_ns: int) -> list[PatternSeries]:
    found = []
    for pattern, level, counts in miner.patterns():
        steps: dict[int, int] = {}
        for time, count in counts.items():
            time_ns = time * RESOLUTION_NS
            if start_ns - RESOLUTION_NS < time_ns < end_ns:
                step = time_ns - time_ns % step_ns
                steps[step] = steps.get(step, 0) + count
        if sum(steps.values()) >= _LEAST_LINES:
            found.append((pattern, level, sorted(steps.items())))
    found.sort(key=lambda one: -sum(count for _, count in one[2]))
    return [
        PatternSeries(pattern, level, _with_gaps(samples, step_ns))
        for pattern, level, samples in found[:_MOST_PATTERNS]
    ]


def _with_gaps(samples: list[tuple[int, int]], step_ns: int) -> list[tuple[int, int]]:
    """With a zero for each step between two samples, as in Loki: a chart would draw a line from one to the other.

    The finest steps have none there, either.
    """
    steps = (samples[-1][0] - samples[0][0]) // step_ns
    if step_ns == RESOLUTION_NS or steps > _MOST_STEPS_WITH_GAPS:
        return samples
    filled = samples[:1]
    for (before_ns, _), sample in pairwise(samples):
        if sample[0] - before_ns < _LONGEST_GAP_NS:
            filled += [(time_ns, 0) for time_ns in range(before_ns + step_ns, sample[0], step_ns)]
        filled.append(sample)
    return filled
