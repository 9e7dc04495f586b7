"""Which index objects a tenant has, and what they say. The store is the truth; Redis' list of keys spares listings.

Those of a period that count are the compacted one of the highest generation, and what flushes wrote that it does not
cover. Replaced objects stay for a while, so a reader may act on any list that was true lately.
"""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import ClassVar

from log_aggregator.errors import ErrorCode, LogAggregatorError
from log_aggregator.formats.errors import CorruptData
from log_aggregator.formats.index import Index, decode_index, memory_bytes
from log_aggregator.formats.keys import (
    IndexKey,
    UnknownKey,
    index_prefix,
    parse_index_key,
    parse_period,
    period_name,
    period_prefix,
    period_start,
)
from log_aggregator.formats.parquet import ParquetFooter
from log_aggregator.model.lru import SizedLru
from log_aggregator.model.position import Coverage, settle
from log_aggregator.model.segment import clamped_ns
from log_aggregator.services.damage import current_damage
from log_aggregator.storage.errors import ObjectNotFound
from log_aggregator.storage.store import ObjectStore
from log_aggregator.wal.errors import WalFull
from log_aggregator.wal.index_list import IndexList

# Beyond this many periods, the list of periods that exist is asked for first.
_FEW_PERIODS = 40
_FOOTER_FACTOR = 6  # a parsed footer against its bytes
_DEFAULT_CACHE_BYTES = 128 << 20
_CONCURRENT_GETS = 16


class IndexGone(LogAggregatorError):
    """A listed index object does not exist: Redis came back with an old list, which is forgotten now."""

    code: ClassVar[ErrorCode] = ErrorCode.UNAVAILABLE


class IndexCatalog:
    """Raises the store's and WalUnavailable errors, CorruptData, IndexGone."""

    def __init__(
        self, store: ObjectStore, index_list: IndexList, period_ns: int, cache_bytes: int = _DEFAULT_CACHE_BYTES
    ) -> None:
        self._store = store
        self._list = index_list
        self._period_ns = period_ns
        self._cache: SizedLru[str, Index] = SizedLru(cache_bytes // 2)
        self._footers: SizedLru[str, ParquetFooter] = SizedLru(cache_bytes // 2)
        self._gets = asyncio.Semaphore(_CONCURRENT_GETS)
        # One of many streams takes several times as much while it is being decoded; two would not be done sooner.
        self._decoding = asyncio.Lock()

    async def keys(self, tenant: str, start_ns: int, end_ns: int) -> list[IndexKey]:
        """The valid index objects of every period that touches `[start_ns, end_ns)`.

        Includes objects whose own span lies outside: their coverage counts all the same.
        """
        periods = await self._periods(tenant, start_ns, end_ns)
        names = [period_name(period) for period in periods]
        known = await self._list.keys(tenant, names)
        missing = [period for period, keys in zip(periods, known, strict=True) if keys is None]
        listed = dict(zip(missing, await self._list_all(tenant, missing), strict=True))
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self.counting(known_keys(listed[period] if keys is None else keys)))
                for period, keys in zip(periods, known, strict=True)
            ]
        return [key for task in tasks for key in task.result()]

    async def load(self, keys: Sequence[IndexKey]) -> list[Index]:
        """The objects, in the order of the keys."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._get(key)) for key in keys]
        return [task.result() for task in tasks]

    async def readable(self, keys: Sequence[IndexKey]) -> list[tuple[IndexKey, Index]]:
        """Each object with its key. Those that are damaged are left out where that is allowed (services/damage.py)."""
        damage = current_damage()

        async def attempt(key: IndexKey) -> Index | None:
            try:
                return await self._get(key)
            except CorruptData as error:
                if damage is None:
                    raise
                damage.add(str(error))
                return None

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(attempt(key)) for key in keys]
        found = zip(keys, (task.result() for task in tasks), strict=True)
        return [(key, index) for key, index in found if index is not None]

    def footer(self, index: Index, chunk: int) -> ParquetFooter:
        """The parsed footer of one of the index's chunks."""
        entry = index.chunks[chunk]
        footer = self._footers.get(entry.key)
        if footer is None:
            footer = ParquetFooter(entry.footer)
            self._footers.put(entry.key, footer, len(entry.footer) * _FOOTER_FACTOR)
        return footer

    async def stored_keys(self, tenant: str, period_start_ns: int) -> list[IndexKey]:
        """The valid index objects of one period as the store itself lists them."""
        return await self.counting(known_keys(await self._stored(tenant, period_start_ns)))

    async def stored_flushes(self, tenant: str, period_start_ns: int) -> list[IndexKey]:
        """Those of flushes alone, whether a compacted one covers them or not: for when that cannot be read."""
        return settled(known_keys(await self._stored(tenant, period_start_ns)), ())

    async def counting(self, keys: Sequence[IndexKey]) -> list[IndexKey]:
        """Of one period, the keys that count, the compacted one completed."""
        newest = newest_compacted(keys)
        if newest is None:
            return settled(keys, ())
        readable = await self.readable([newest])
        # What else is there of the period may have been replaced, and hold entries that were deleted since.
        return [
            one
            for _, index in readable
            for one in (replace(newest, coverages=index.coverage), *settled(keys, index.coverage))
        ]

    async def stored_counts(self, tenant: str) -> dict[int, int]:
        """How many index objects the store has of each period, needless ones included."""
        names = [meta.key async for meta in self._store.list(index_prefix(tenant))]
        return Counter(key.period_start_ns for key in known_keys(names))

    async def publish(self, key: IndexKey) -> None:
        """Makes a stored index object known to readers."""
        await self._list.add(key.tenant, period_name(key.period_start_ns), key.key)

    async def forget(self, tenant: str, period_start_ns: int) -> None:
        """Makes readers list the store: before objects are removed from it."""
        await self._list.forget(tenant, period_name(period_start_ns))

    async def _periods(self, tenant: str, start_ns: int, end_ns: int) -> list[int]:
        # Periods beyond 64 bits may have no name.
        first, last = (period_start(clamped_ns(time_ns), self._period_ns) for time_ns in (start_ns, end_ns - 1))
        if (last - first) // self._period_ns < _FEW_PERIODS:
            return list(range(first, last + 1, self._period_ns))
        names = await self._list.periods(tenant)
        if names is None:
            filling = self._list.filling_periods(tenant)
            await _unless_full(filling.begin())
            prefixes = await self._store.list_prefixes(index_prefix(tenant))
            names = [prefix.rstrip("/").rsplit("/", 1)[1] for prefix in prefixes]
            await _unless_full(filling.end(names))
        return sorted(start for start in _starts(names) if first <= start <= last)

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

    async def _get(self, key: IndexKey) -> Index:
        index = self._cache.get(key.key)
        if index is None:
            try:
                async with self._gets:
                    data = await self._store.get(key.key)
            except ObjectNotFound as error:
                await self._list.forget(key.tenant, period_name(key.period_start_ns))
                raise IndexGone(f"index object {key.key} is listed but not there; try again") from error
            async with self._decoding:
                decoded, size = await asyncio.to_thread(_decoded, key.key, data)
            self._cache.put(key.key, decoded, size)
            return decoded
        return index


def known_keys(names: Iterable[str]) -> list[IndexKey]:
    """Without names that are not ours: a tool that copies a store may leave files of its own, or of directories."""
    found = []
    for name in names:
        with suppress(UnknownKey):
            found.append(parse_index_key(name))
    return found


def _starts(names: Iterable[str]) -> Iterator[int]:
    """Of periods of these names, without those that are not ours."""
    for name in names:
        with suppress(UnknownKey):
            yield parse_period(name)


def _decoded(key: str, data: bytes) -> tuple[Index, int]:
    """The index object, and what it takes in memory."""
    index = decode_index(key, data)
    return index, memory_bytes(index)


async def _unless_full(filling: Coroutine[None, None, None]) -> None:
    # A Redis that is full of write-ahead log cannot take the list. The next reader lists the store again.
    with suppress(WalFull):
        await filling


def newest_compacted(keys: Iterable[IndexKey]) -> IndexKey | None:
    """Of one tenant and period, the compacted one that counts, if there is any."""
    return max((key for key in keys if key.generation), key=lambda key: key.generation, default=None)


def settled(keys: Iterable[IndexKey], compacted: Iterable[Coverage]) -> list[IndexKey]:
    """Of one tenant and period, the keys of flushes that are needed: neither others nor a compacted one cover them."""
    by_wal: dict[str, list[Coverage]] = {}
    for coverage in compacted:
        by_wal.setdefault(coverage.wal, []).append(coverage)
    flushed = [
        key
        for key in keys
        if not key.generation
        and not any(other.contains(key.coverages[0]) for other in by_wal.get(key.coverages[0].wal, ()))
    ]
    needed = settle(key.coverages[0] for key in flushed)
    return [key for key in flushed if key.coverages[0] in needed]
