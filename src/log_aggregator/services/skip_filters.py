"""Which row groups a query need not read, since what it looks for is not in them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter

from log_aggregator.engine.skip_filter import Needle, hashes_of
from log_aggregator.formats.index import ChunkEntry
from log_aggregator.formats.parquet import ByteSpan
from log_aggregator.formats.skip_filter import (
    BlockSpan,
    blocks_of,
    checked_block,
    decode_skip_filter,
    row_groups_with,
)
from log_aggregator.model.lru import SizedLru
from log_aggregator.services.row_groups import coalesce, read_span
from log_aggregator.services.statistics import ScanStatistics
from log_aggregator.storage.store import ObjectStore

_DEFAULT_CACHE_BYTES = 32 << 20
_CONCURRENT_GETS = 32
# Of many chunks little is read, all at a time: then bytes cost more than requests.
_COALESCE_BYTES = 32 << 10
# Of each text; every further one costs a read and tells little more.
_MAX_HASHES = 8


@dataclass(frozen=True, slots=True)
class HashedNeedle:
    """A needle with what is looked up of it: of each of its texts some hashes."""

    needle: Needle
    hashes: tuple[tuple[int, ...], ...] = field(repr=False)

    @classmethod
    def of(cls, needle: Needle) -> "HashedNeedle":
        return cls(needle, tuple(_some_hashes(text) for text in needle.texts))


class SkipFilterMetrics:
    """Of one process. See docs/metrics.md."""

    def __init__(self, registry: CollectorRegistry) -> None:
        row_groups = Counter(
            "log_aggregator_skip_filter_row_groups_total",
            "Row groups that queries for ids asked about: those that could not hold them, and those that were read",
            ["outcome"],
            registry=registry,
        )
        self.skipped, self.read = row_groups.labels("skipped"), row_groups.labels("read")


class SkipFilters:
    """Raises the store's errors, CorruptData."""

    def __init__(self, store: ObjectStore, metrics: SkipFilterMetrics, cache_bytes: int = _DEFAULT_CACHE_BYTES) -> None:
        self._store = store
        self.metrics = metrics
        self._cache: SizedLru[tuple[str, int], bytes] = SizedLru(cache_bytes)
        self._gets = asyncio.Semaphore(_CONCURRENT_GETS)

    async def row_groups(
        self, chunk: ChunkEntry, needle: HashedNeedle, statistics: ScanStatistics
    ) -> frozenset[int] | None:
        """Those of the chunk that may hold the needle; None if that is not known."""
        skip_filter = decode_skip_filter(chunk.skip_filter)
        if skip_filter is None:
            return None
        wanted = {hash_ for hashes in needle.hashes for hash_ in hashes}
        payloads = await self._payloads(chunk.key, blocks_of(skip_filter, wanted), statistics)
        found = (row_groups_with(skip_filter, hashes, payloads) for hashes in needle.hashes)
        return frozenset().union(*found)

    async def _payloads(self, key: str, blocks: Sequence[BlockSpan], statistics: ScanStatistics) -> dict[int, bytes]:
        found = {block.number: self._cache.get((key, block.number)) for block in blocks}
        missing = [block for block in blocks if found[block.number] is None]
        ranges = coalesce([ByteSpan(block.start, block.end) for block in missing], _COALESCE_BYTES)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._get(key, span)) for span in ranges]
        for span, task in zip(ranges, tasks, strict=True):
            data = task.result()
            statistics.store_bytes += len(data)
            for block in missing:
                if span.start <= block.start and block.end <= span.end:
                    payload = checked_block(key, data[block.start - span.start : block.end - span.start])
                    found[block.number] = payload
                    self._cache.put((key, block.number), payload, len(payload))
        return {number: payload for number, payload in found.items() if payload is not None}

    async def _get(self, key: str, span: ByteSpan) -> bytes:
        async with self._gets:
            return await read_span(self._store, key, span)


def _some_hashes(text: str) -> tuple[int, ...]:
    found = hashes_of(text)
    stride = -(-len(found) // _MAX_HASHES)
    return found[::stride]
