"""Exact duplicates among the units of a scan.

An agent that got no answer pushes again, so an entry may stand in two records or chunks; it counts once (same stream,
timestamp, line and metadata). Within a chunk the flush has removed them. Most units do not even overlap in time within
a stream, so this costs a look at their bounds, then at timestamps, and at lines only where those are equal.
"""

import asyncio
from collections.abc import Mapping, Sequence

import polars as pl

from log_aggregator.engine.batch import Batch
from log_aggregator.model.columns import bytes_in_memory, constant
from log_aggregator.model.labels import Labels
from log_aggregator.model.segment import ARRIVAL, BATCH_SCHEMA, LINE, METADATA, STREAM, TIMESTAMP
from log_aggregator.services.scan import Scanner
from log_aggregator.services.statistics import ScanStatistics
from log_aggregator.services.units import Scan, TailUnit, Unit

_UNIT, _ROW = "unit", "row"


async def duplicates(
    scanner: Scanner, scan: Scan, units: Sequence[Unit], statistics: ScanStatistics
) -> Mapping[int, pl.Series]:
    """By unit, the numbers of rows (as `Scanner.load` gives them) that repeat an entry of earlier arrival.

    Raises what `Scanner` raises, and QueryTooLarge.
    """
    contested = _contested(units)
    if not contested:
        return {}
    numbers: dict[Labels, int] = {}
    chosen = [units[number] for number in contested]
    batches = await _load_all(scanner, scan, chosen, [STREAM, TIMESTAMP], statistics)
    suspects = await asyncio.to_thread(_of_equal_time, contested, batches, numbers)
    if suspects.is_empty():
        return {}
    rows, held_bytes = [], 0
    for (number,), own in suspects.partition_by(_UNIT, as_dict=True).items():
        assert isinstance(number, int)
        # One at a time: all their lines may be more than is to be in memory.
        batch = await scanner.load(units[number], scan, BATCH_SCHEMA.names(), statistics)
        if not batch.rows:
            continue  # damaged, and left out
        rows.append(await asyncio.to_thread(_suspected, batch, own, numbers))
        held_bytes += bytes_in_memory(rows[-1])
        scan.memory.hold("entries", bytes_in_memory(rows[-1]))
    repeated = await asyncio.to_thread(_repeated, pl.concat(rows)) if rows else {}
    scan.memory.release(held_bytes)
    return repeated


def without_rows(frame: pl.DataFrame, numbers: pl.Series) -> pl.DataFrame:
    """The frame but for the rows of these numbers."""
    kept = constant(True, frame.height, pl.Boolean).scatter(numbers, False)
    return frame.filter(kept)


async def _load_all(
    scanner: Scanner, scan: Scan, units: Sequence[Unit], columns: Sequence[str], statistics: ScanStatistics
) -> list[Batch]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(scanner.load(unit, scan, columns, statistics)) for unit in units]
    return [task.result() for task in tasks]


def _contested(units: Sequence[Unit]) -> list[int]:
    """Units that overlap another in time within a stream; and single records, which may repeat their own entries."""
    found = {number for number, unit in enumerate(units) if isinstance(unit, TailUnit) and len(unit.records) == 1}
    if _is_one(units):
        return sorted(found)
    spans: dict[Labels, list[tuple[int, int, int]]] = {}
    tails = [(number, unit) for number, unit in enumerate(units) if isinstance(unit, TailUnit)]
    for number, unit in enumerate(units):
        for other, tail in tails:
            if other != number and tail.min_ns <= unit.max_ns and unit.min_ns <= tail.max_ns:
                found.update((number, other))
        if not isinstance(unit, TailUnit):
            for run in unit.runs:
                spans.setdefault(unit.index.streams[run.stream], []).append((run.min_ns, run.max_ns, number))
    for own in spans.values():
        own.sort()
        reached, holder = own[0][1], own[0][2]
        for low, high, number in own[1:]:
            if low <= reached:
                found.update((number, holder))
            if high >= reached:
                reached, holder = high, number
    return sorted(found)


def _is_one(units: Sequence[Unit]) -> bool:
    """Whether all are of one chunk, or there is but one."""
    chunks = {None if isinstance(unit, TailUnit) else unit.index.chunks[unit.chunk].key for unit in units}
    return len(units) == 1 or (len(chunks) == 1 and None not in chunks)


def _of_equal_time(contested: Sequence[int], batches: Sequence[Batch], numbers: dict[Labels, int]) -> pl.DataFrame:
    """_UNIT, _ROW, STREAM and TIMESTAMP of the rows that share stream and time with another."""
    frames = []
    for number, batch in zip(contested, batches, strict=True):
        frames.append(
            batch.frame.select(
                pl.lit(number, pl.UInt32).alias(_UNIT),
                pl.int_range(pl.len(), dtype=pl.UInt32).alias(_ROW),
                _numbered(batch, numbers),
                TIMESTAMP,
            )
        )
    rows = pl.concat(frames)
    return rows.filter(pl.struct(STREAM, TIMESTAMP).is_duplicated())


def _suspected(batch: Batch, own: pl.DataFrame, numbers: dict[Labels, int]) -> pl.DataFrame:
    """The rows of one unit that are in question."""
    rows = batch.frame.with_columns(_numbered(batch, numbers))[own[_ROW]]
    return rows.with_columns(own[_UNIT], own[_ROW])


def _repeated(rows: pl.DataFrame) -> Mapping[int, pl.Series]:
    rows = rows.sort(ARRIVAL, _UNIT, _ROW)
    again = rows.filter(~pl.struct(STREAM, TIMESTAMP, LINE, METADATA).is_first_distinct())
    return {
        number: own[_ROW]
        for (number,), own in again.partition_by(_UNIT, as_dict=True).items()
        if isinstance(number, int)
    }


def _numbered(batch: Batch, numbers: dict[Labels, int]) -> pl.Series:
    table = [numbers.setdefault(labels, len(numbers)) for labels in batch.streams]
    return pl.Series(STREAM, table, dtype=pl.UInt32).gather(batch.frame[STREAM]).alias(STREAM)
