"""Putting rows into the store as one chunk object, for flushes and compactions alike."""

import asyncio
from collections.abc import Sequence

import polars as pl

from log_aggregator.formats.chunk import ChunkOrigin
from log_aggregator.formats.delta import Effort
from log_aggregator.formats.index import ChunkEntry, Index, number_refs
from log_aggregator.model.labels import Labels
from log_aggregator.services.chunk_rows import encode_rows
from log_aggregator.services.pattern_mining import chunk_patterns
from log_aggregator.storage.store import ObjectStore


class ChunkWriter:
    """Raises the store's errors."""

    def __init__(self, store: ObjectStore, effort: Effort, *, mines_patterns: bool) -> None:
        self._store = store
        self._effort = effort
        self._mines_patterns = mines_patterns

    async def write(self, key: str, origin: ChunkOrigin, streams: Sequence[Labels], rows: pl.DataFrame) -> Index:
        """The chunk is in the store; its index is not yet. Rows as `encode_rows` wants them."""
        chunk, used = await asyncio.to_thread(encode_rows, origin, streams, rows, self._effort)
        await self._store.put(key, chunk.data)
        patterns = await asyncio.to_thread(chunk_patterns, streams, rows) if self._mines_patterns else b""
        entry = ChunkEntry(
            key,
            len(chunk.data),
            chunk.footer,
            chunk.checksums,
            chunk.shapes,
            origin.coverage,
            patterns,
            chunk.skip_filter,
        )
        refs = number_refs([chunk.refs])
        return Index(origin.tenant, origin.period_start_ns, origin.coverage, (entry,), used, refs)
