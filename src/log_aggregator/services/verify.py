"""Reading a whole store to see whether all that its index objects promise is there, byte for byte."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from log_aggregator.errors import LogAggregatorError
from log_aggregator.formats.chunk import ROWS, check_column
from log_aggregator.formats.delete_request import decode_request
from log_aggregator.formats.errors import CorruptData
from log_aggregator.formats.index import CHUNK, ChunkEntry, Index, decode_index
from log_aggregator.formats.index_period import decode_index_period
from log_aggregator.formats.keys import (
    DELETE_REQUEST_SUFFIX,
    INDEX_PERIOD_KEY,
    IndexKey,
    chunks_prefix,
    deletes_prefix,
    index_prefix,
    parse_index_key,
)
from log_aggregator.formats.parquet import ParquetFooter, footer_bytes
from log_aggregator.services.catalog import newest_compacted, settled
from log_aggregator.storage.errors import ObjectNotFound
from log_aggregator.storage.store import ObjectMeta, ObjectStore

_CONCURRENT_OBJECTS: Final = 4


class Severity(StrEnum):
    DAMAGE = "damage"  # queries of the period fail
    LEFTOVER = "leftover"  # garbage that the compactor collects in time


@dataclass(frozen=True, slots=True)
class Finding:
    severity: Severity
    key: str
    message: str


@dataclass(slots=True)
class Report:
    """What was looked at, and what was found. `entries` counts those of good chunks, duplicates included."""

    tenants: int = 0
    indexes: int = 0
    chunks: int = 0
    entries: int = 0
    stored_bytes: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        return all(finding.severity is not Severity.DAMAGE for finding in self.findings)


async def verify_store(store: ObjectStore) -> Report:
    """Reads every object of every tenant once. Raises the store's errors but for missing objects."""
    report = Report()
    await _verify_index_period(store, report)
    for prefix in await store.list_prefixes(""):
        report.tenants += 1
        await _verify_tenant(store, prefix.rstrip("/"), report)
    return report


async def _verify_index_period(store: ObjectStore, report: Report) -> None:
    try:
        decode_index_period(await store.get(INDEX_PERIOD_KEY))
    except ObjectNotFound:
        pass  # what wrote this store did not record it, or has not written anything
    except LogAggregatorError as error:
        report.findings.append(Finding(Severity.DAMAGE, INDEX_PERIOD_KEY, str(error)))


async def _verify_tenant(store: ObjectStore, tenant: str, report: Report) -> None:
    # In this order: what refers to a chunk is written after it.
    chunks = {meta.key: meta async for meta in store.list(chunks_prefix(tenant))}
    metas = [meta async for meta in store.list(index_prefix(tenant))]
    chunks |= {meta.key: meta async for meta in store.list(chunks_prefix(tenant))}
    held: set[str] = set()
    for keys in _by_period(metas, report):
        indexes = {key.key: index async for key, index in _indexes(store, keys, report)}
        newest = newest_compacted(keys)
        covered = indexes[newest.key].coverage if newest is not None and newest.key in indexes else ()
        needed = {key.key for key in [*settled(keys, covered), newest] if key is not None}
        for key in keys:
            if key.key not in needed:
                report.findings.append(Finding(Severity.LEFTOVER, key.key, "is replaced by another index object"))
        wanted = [(indexes[name], entry) for name in needed if name in indexes for entry in indexes[name].chunks]
        held.update(entry.key for index in indexes.values() for entry in index.chunks)
        await _verify_chunks(store, wanted, chunks, report)
    for name in sorted(chunks.keys() - held):
        report.findings.append(Finding(Severity.LEFTOVER, name, "no index object refers to it"))
    await _verify_requests(store, tenant, report)


def _by_period(metas: Iterable[ObjectMeta], report: Report) -> list[list[IndexKey]]:
    periods: dict[int, list[IndexKey]] = {}
    for meta in metas:
        try:
            key = parse_index_key(meta.key)
        except LogAggregatorError as error:
            report.findings.append(Finding(Severity.DAMAGE, meta.key, str(error)))
            continue
        periods.setdefault(key.period_start_ns, []).append(key)
        report.indexes += 1
        report.stored_bytes += meta.size_bytes
    return list(periods.values())


async def _indexes(
    store: ObjectStore, keys: Sequence[IndexKey], report: Report
) -> AsyncIterator[tuple[IndexKey, Index]]:
    for key in keys:
        try:
            yield key, await asyncio.to_thread(decode_index, key.key, await store.get(key.key))
        except LogAggregatorError as error:
            report.findings.append(Finding(Severity.DAMAGE, key.key, str(error)))


async def _verify_chunks(
    store: ObjectStore, wanted: Sequence[tuple[Index, ChunkEntry]], listed: dict[str, ObjectMeta], report: Report
) -> None:
    slots = asyncio.Semaphore(_CONCURRENT_OBJECTS)

    async def verify(index: Index, entry: ChunkEntry) -> None:
        async with slots:
            try:
                if entry.key not in listed:
                    raise CorruptData(f"chunk {entry.key} is missing")
                report.entries += await asyncio.to_thread(_rows_of, index, entry, await store.get(entry.key))
            except LogAggregatorError as error:
                report.findings.append(Finding(Severity.DAMAGE, entry.key, str(error)))
            else:
                report.chunks += 1
                report.stored_bytes += entry.size

    async with asyncio.TaskGroup() as group:
        for index, entry in wanted:
            group.create_task(verify(index, entry))


def _rows_of(index: Index, entry: ChunkEntry, data: bytes) -> int:
    """How many entries the chunk has. Raises CorruptData unless it is what its index object says."""
    if len(data) != entry.size:
        raise CorruptData(f"chunk {entry.key} has {len(data)} bytes instead of {entry.size}")
    if footer_bytes(data) != entry.footer:
        raise CorruptData(f"chunk {entry.key}: the footer is not the one that was written")
    footer = ParquetFooter(entry.footer)
    for number, group in enumerate(footer.row_groups):
        for column, span in group.spans.items():
            check_column(entry.key, column, data[span.start : span.end], entry.checksums[column][number])
    rows = sum(group.rows for group in footer.row_groups)
    number = next(number for number, chunk in enumerate(index.chunks) if chunk.key == entry.key)
    referred = int(index.refs.filter(index.refs[CHUNK] == number)[ROWS].sum())
    if referred != rows:
        raise CorruptData(f"chunk {entry.key} has {rows} entries, its index object refers to {referred}")
    return rows


async def _verify_requests(store: ObjectStore, tenant: str, report: Report) -> None:
    async for meta in store.list(deletes_prefix(tenant)):
        if meta.key.endswith(DELETE_REQUEST_SUFFIX):
            try:
                decode_request(meta.key, await store.get(meta.key))
            except LogAggregatorError as error:
                report.findings.append(Finding(Severity.DAMAGE, meta.key, str(error)))
