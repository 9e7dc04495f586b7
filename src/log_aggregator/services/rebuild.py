"""Index objects from chunks alone, for periods whose index objects are lost or damaged.

Where a period's newest compacted index object is readable it stays, and with it what it says of compacted chunks. Else,
of runs that hold the same because one was merged into another, the merged one counts if it is known to be whole; if it
is not, or is damaged, all of them do, since an entry that is stored twice counts once.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from log_aggregator.errors import LogAggregatorError
from log_aggregator.formats.chunk import DecodedChunk, decode_chunk
from log_aggregator.formats.index import ChunkEntry, Index, decode_index, encode_index, joined, number_refs
from log_aggregator.formats.keys import (
    IndexKey,
    chunk_period_prefix,
    chunks_prefix,
    compacted_index_key,
    index_key,
    parse_index_key,
    parse_period,
    period_prefix,
    run_of_chunk,
)
from log_aggregator.model.position import Coverage
from log_aggregator.services.verify import Finding, Severity
from log_aggregator.storage.store import ObjectStore


@dataclass(slots=True)
class Rebuilt:
    """Keys of the index objects that were written, and chunks that could not be read."""

    written: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Run:
    generation: int
    coverage: frozenset[Coverage]
    is_whole: bool
    parts: tuple[Index, ...]
    bounds_ns: tuple[int, int]


async def rebuild_indexes(store: ObjectStore) -> Rebuilt:
    """Every tenant and period. Raises the store's errors."""
    rebuilt = Rebuilt()
    for prefix in await store.list_prefixes(""):
        tenant = prefix.rstrip("/")
        for child in await store.list_prefixes(chunks_prefix(tenant)):
            await _rebuild_period(store, tenant, parse_period(child.rstrip("/").rpartition("/")[2]), rebuilt)
    return rebuilt


async def _rebuild_period(store: ObjectStore, tenant: str, period_start_ns: int, rebuilt: Rebuilt) -> None:
    readable, newest = await _stored(store, tenant, period_start_ns)
    current = next((index for key, index in readable.items() if key.generation and key.generation == newest), None)
    runs = await _runs(store, tenant, period_start_ns, rebuilt)
    if current is not None:
        runs = [run for run in runs if not run.generation and not run.coverage <= set(current.coverage)]
    chosen = _chosen(runs)
    present = {key.key for key in readable}
    coverage = frozenset[Coverage]().union(*(run.coverage for run in chosen if run.generation))
    # Flushes that a compaction has not read to its end are among them: nobody looks at what a compacted one covers.
    merged = [run for run in chosen if run.coverage <= coverage]
    for run in chosen:
        if not run.coverage <= coverage:
            key = index_key(tenant, period_start_ns, *run.bounds_ns, *run.coverage)
            if key not in present:
                await _write(store, key, run.parts[0], rebuilt)
    if merged:
        generation = max(newest, *(run.generation for run in merged)) + 1
        parts = [part for run in merged for part in run.parts]
        index = joined(tenant, period_start_ns, tuple(sorted(coverage)), parts)
        await _write(store, compacted_index_key(tenant, period_start_ns, generation), index, rebuilt)


async def _stored(store: ObjectStore, tenant: str, period_start_ns: int) -> tuple[dict[IndexKey, Index], int]:
    """The readable index objects, and the newest generation of all."""
    readable: dict[IndexKey, Index] = {}
    newest = 0
    async for meta in store.list(period_prefix(tenant, period_start_ns)):
        with suppress(LogAggregatorError):
            key = parse_index_key(meta.key)
            newest = max(newest, key.generation)
            readable[key] = await asyncio.to_thread(decode_index, key.key, await store.get(key.key))
    return readable, newest


async def _runs(store: ObjectStore, tenant: str, period_start_ns: int, rebuilt: Rebuilt) -> list[_Run]:
    """What the chunks say of themselves."""
    chunks: dict[str, list[tuple[DecodedChunk, Index]]] = {}
    damaged: set[str] = set()
    async for meta in store.list(chunk_period_prefix(tenant, period_start_ns)):
        try:
            decoded = await asyncio.to_thread(decode_chunk, meta.key, await store.get(meta.key))
        except LogAggregatorError as error:
            rebuilt.findings.append(Finding(Severity.DAMAGE, meta.key, str(error)))
            damaged.add(run_of_chunk(meta.key))
            continue
        chunks.setdefault(run_of_chunk(meta.key), []).append((decoded, _part(meta.key, decoded)))
    return [_run(parts, is_damaged=run in damaged) for run, parts in chunks.items()]


def _part(key: str, decoded: DecodedChunk) -> Index:
    encoded, origin = decoded.encoded, decoded.origin
    entry = ChunkEntry(key, len(encoded.data), encoded.footer, encoded.checksums, encoded.shapes, origin.coverage, b"")
    refs = number_refs([encoded.refs])
    return Index(origin.tenant, origin.period_start_ns, origin.coverage, (entry,), decoded.streams, refs)


def _run(parts: Sequence[tuple[DecodedChunk, Index]], *, is_damaged: bool) -> _Run:
    decoded = [chunk for chunk, _ in parts]
    return _Run(
        decoded[0].origin.generation,
        frozenset(decoded[0].origin.coverage),
        not is_damaged and any(chunk.origin.completes_run for chunk in decoded),
        tuple(index for _, index in parts),
        (min(chunk.min_ns for chunk in decoded), max(chunk.max_ns for chunk in decoded)),
    )


def _chosen(runs: Sequence[_Run]) -> list[_Run]:
    """Without those that a newer whole run has taken in."""
    chosen: list[_Run] = []
    for run in sorted(runs, key=lambda run: -run.generation):
        if not any(other.is_whole and run.coverage <= other.coverage for other in chosen):
            chosen.append(run)
    return chosen


async def _write(store: ObjectStore, key: str, index: Index, rebuilt: Rebuilt) -> None:
    await store.put(key, await asyncio.to_thread(encode_index, index))
    rebuilt.written.append(key)
