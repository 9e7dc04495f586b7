"""Removing objects that no reader needs any more: what compaction has replaced, what nothing refers to, what expired.

Once needless is needless for ever: coverage only grows, and generations only rise. So a janitor that was paused between
its decision and the deletion does no harm. Before an index object is removed, Redis forgets the list that may name it.
"""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from log_aggregator.formats.keys import (
    IndexKey,
    UnknownKey,
    chunk_key,
    chunk_period_prefix,
    chunks_prefix,
    index_prefix,
    parse_period,
    period_prefix,
)
from log_aggregator.services.catalog import IndexCatalog, known_keys
from log_aggregator.storage.store import ObjectMeta, ObjectStore

logger = logging.getLogger(__name__)

# A flush or compaction that is under way has put chunks to which nothing refers yet. None is paused for so long.
_ORPHANED_AFTER_NS: Final = 24 * 3600 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class Collected:
    """How many objects were removed."""

    indexes: int
    chunks: int


class Janitor:
    """Raises the store's errors, WalUnavailable, CorruptData."""

    def __init__(self, store: ObjectStore, catalog: IndexCatalog, delay_ns: int, period_ns: int) -> None:
        """What is not needed any more is kept for the delay, for readers that began before."""
        self._store = store
        self._catalog = catalog
        self._delay_ns = delay_ns
        self._period_ns = period_ns

    async def periods(self, tenant: str) -> list[int]:
        """The starts of all periods that have objects."""
        found: set[int] = set()
        for prefix in (index_prefix(tenant), chunks_prefix(tenant)):
            for child in await self._store.list_prefixes(prefix):
                try:
                    found.add(parse_period(child.rstrip("/").rpartition("/")[2]))
                except UnknownKey as error:
                    logger.warning("not an object of ours", extra={"prefix": child, "error": str(error)})
        return sorted(found)

    async def collect(self, tenant: str, period_start_ns: int, now_ns: int) -> Collected:
        """Removes what has been replaced for longer than the delay, and old chunks without an index object.

        Those stay where an index object may be one that this program does not know, as after a downgrade.
        """
        # In this order: whatever refers to a listed chunk, unless it is being written, is listed too.
        chunks = await self._list(chunk_period_prefix(tenant, period_start_ns))
        metas = await self._list(period_prefix(tenant, period_start_ns))
        keys = known_keys(meta.key for meta in metas)
        old = known_keys(meta.key for meta in metas if meta.modified_ns <= now_ns - self._delay_ns)
        needed = {key.key for some in (keys, old) for key in await self._catalog.counting(some)}
        are_all_known = len(keys) == len(metas)
        garbage = [key for key in old if key.key not in needed]
        remaining = [key for key in keys if key not in garbage]
        freed = await self._chunks_of(garbage)
        held = await self._chunks_of(remaining)
        if garbage:
            await self._catalog.forget(tenant, period_start_ns)
            await self._store.delete([key.key for key in garbage])
        if not are_all_known:
            extra = {"tenant": tenant, "period": period_start_ns}
            logger.warning("chunks of no index object stay, beside index objects of unknown names", extra=extra)
        orphaned_ns = now_ns - _ORPHANED_AFTER_NS
        unheld = [
            meta.key
            for meta in chunks
            if meta.key not in held and (meta.key in freed or (are_all_known and meta.modified_ns <= orphaned_ns))
        ]
        await self._store.delete(unheld)
        return Collected(len(garbage), len(unheld))

    def is_over(self, period_start_ns: int, oldest_ns: int) -> bool:
        """Whether all of the period was older than this even the delay ago."""
        return period_start_ns + self._period_ns + self._delay_ns <= oldest_ns

    async def expire(self, tenant: str, period_start_ns: int) -> Collected:
        """Removes all of a period. Should it get entries again, no object gets the name of one that was removed."""
        indexes = await self._list(period_prefix(tenant, period_start_ns))
        chunks = await self._list(chunk_period_prefix(tenant, period_start_ns))
        await self._catalog.forget(tenant, period_start_ns)
        await self._store.delete([meta.key for meta in indexes])
        await self._store.delete([meta.key for meta in chunks])
        return Collected(len(indexes), len(chunks))

    async def _list(self, prefix: str) -> list[ObjectMeta]:
        return [meta async for meta in self._store.list(prefix)]

    async def _chunks_of(self, keys: Sequence[IndexKey]) -> Collection[str]:
        compacted = await self._catalog.load([key for key in keys if key.generation])
        return {_chunk_of_flush(key) for key in keys if not key.generation} | {
            chunk.key for index in compacted for chunk in index.chunks
        }


def _chunk_of_flush(key: IndexKey) -> str:
    return chunk_key(key.tenant, key.period_start_ns, key.coverages[0], 0)
