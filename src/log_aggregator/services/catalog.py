"""Which index objects a tenant has, and what they say. The store is the truth; Redis' list of keys spares listings."""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress

from log_aggregator.formats.index import Index, decode_index
from log_aggregator.formats.keys import (
    IndexKey,
    index_prefix,
    parse_index_key,
    parse_period,
    period_name,
    period_prefix,
    period_start,
)
from log_aggregator.formats.parquet import ParquetFooter
from log_aggregator.model.lru import SizedLru
from log_aggregator.model.position import settle
from log_aggregator.storage.store import ObjectStore
from log_aggregator.wal.errors import WalFull
from log_aggregator.wal.index_list import IndexList

# Beyond this many periods, the list of periods that exist is asked for first.
_FEW_PERIODS = 40
_CACHE_BYTES = 128 << 20
_DECODED_FACTOR = 6  # an index object in memory against its compressed bytes
_CONCURRENT_GETS = 16


class IndexCatalog:
    """Raises the store's and WalUnavailable errors."""

    def __init__(self, store: ObjectStore, index_list: IndexList, period_ns: int) -> None:
        self._store = store
        self._list = index_list
        self._period_ns = period_ns
        self._cache: SizedLru[str, Index] = SizedLru(_CACHE_BYTES)
        self._footers: SizedLru[str, ParquetFooter] = SizedLru(_CACHE_BYTES)
        self._gets = asyncio.Semaphore(_CONCURRENT_GETS)

    async def keys(self, tenant: str, start_ns: int, end_ns: int) -> list[IndexKey]:
        """The valid index objects of every period that touches `[start_ns, end_ns)`.

        Includes objects whose own span lies outside: their coverage counts all the same.
        """
        periods = await self._periods(tenant, start_ns, end_ns)
        names = [period_name(period) for period in periods]
        known = await self._list.keys(tenant, names)
        missing = [period for period, keys in zip(periods, known, strict=True) if keys is None]
        listed = dict(zip(missing, await self._list_all(tenant, missing), strict=True))
        found: list[IndexKey] = []
        for period, keys in zip(periods, known, strict=True):
            found += settled(listed[period] if keys is None else keys)
        return found

    async def load(self, keys: Sequence[IndexKey]) -> list[Index]:
        """The objects, in the order of the keys."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._get(key.key)) for key in keys]
        return [task.result() for task in tasks]

    def footer(self, index: Index, chunk: int) -> ParquetFooter:
        """The parsed footer of one of the index's chunks."""
        entry = index.chunks[chunk]
        footer = self._footers.get(entry.key)
        if footer is None:
            footer = ParquetFooter(entry.footer)
            self._footers.put(entry.key, footer, len(entry.footer) * _DECODED_FACTOR)
        return footer

    async def stored_keys(self, tenant: str, period_start_ns: int) -> list[IndexKey]:
        """The valid index objects of one period as the store itself lists them."""
        return settled(await self._stored(tenant, period_start_ns))

    async def _periods(self, tenant: str, start_ns: int, end_ns: int) -> list[int]:
        first, last = period_start(start_ns, self._period_ns), period_start(end_ns - 1, self._period_ns)
        if (last - first) // self._period_ns < _FEW_PERIODS:
            return list(range(first, last + 1, self._period_ns))
        names = await self._list.periods(tenant)
        if names is None:
            filling = self._list.filling_periods(tenant)
            await _unless_full(filling.begin())
            prefixes = await self._store.list_prefixes(index_prefix(tenant))
            names = [prefix.rstrip("/").rsplit("/", 1)[1] for prefix in prefixes]
            await _unless_full(filling.end(names))
        return sorted(start for start in map(parse_period, names) if first <= start <= last)

    async def _list_all(self, tenant: str, periods: Sequence[int]) -> list[list[str]]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._list_one(tenant, period)) for period in periods]
        return [task.result() for task in tasks]

    async def _list_one(self, tenant: str, period_start_ns: int) -> list[str]:
        filling = self._list.filling_keys(tenant, period_name(period_start_ns))
        async with self._gets:
            await _unless_full(filling.begin())
            keys = await self._stored(tenant, period_start_ns)
        await _unless_full(filling.end(keys))
        return keys

    async def _stored(self, tenant: str, period_start_ns: int) -> list[str]:
        return [meta.key async for meta in self._store.list(period_prefix(tenant, period_start_ns))]

    async def _get(self, key: str) -> Index:
        index = self._cache.get(key)
        if index is None:
            async with self._gets:
                data = await self._store.get(key)
            index = await asyncio.to_thread(decode_index, key, data)
            self._cache.put(key, index, len(data) * _DECODED_FACTOR)
        return index


async def _unless_full(filling: Coroutine[None, None, None]) -> None:
    # A Redis that is full of write-ahead log cannot take the list. The next reader lists the store again.
    with suppress(WalFull):
        await filling


def settled(keys: Sequence[str]) -> list[IndexKey]:
    """The keys of one tenant and period, parsed, without those that others make needless."""
    parsed = [parse_index_key(key) for key in keys]
    valid = settle(key.coverage for key in parsed)
    return [key for key in parsed if key.coverage in valid]
