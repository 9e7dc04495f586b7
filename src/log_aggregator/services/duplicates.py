"""Exact duplicates among the units of a scan.

An agent that got no answer pushes again, so an entry may stand in two records or chunks; it counts once (same stream,
timestamp, line and metadata). Within a chunk the flush has removed them. Most units do not even overlap in time within
a stream, so this costs a look at their bounds, then at timestamps where they do, and at lines only where those are
equal.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from log_aggregator.engine.batch import Batch, Integers
from log_aggregator.model.columns import bytes_in_memory, constant
from log_aggregator.model.labels import Labels
from log_aggregator.model.segment import ARRIVAL, BATCH_SCHEMA, LINE, METADATA, STREAM, TIMESTAMP
from log_aggregator.services.scan import Scanner
from log_aggregator.services.statistics import ScanStatistics
from log_aggregator.services.units import Scan, TailUnit, Unit

_UNIT, _ROW = "unit", "row"
_PLACES = pl.Schema({_UNIT: pl.UInt32(), _ROW: pl.UInt32(), STREAM: pl.UInt32(), TIMESTAMP: pl.Int64()})
# With more spans than this, to look at each takes longer than to compare all rows.
_FEW_SPANS = 2000


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
    suspects = await asyncio.to_thread(of_equal_time, contested, batches, numbers)
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


def of_equal_time(contested: Sequence[int], batches: Sequence[Batch], numbers: dict[Labels, int]) -> pl.DataFrame:
    """_UNIT, _ROW, STREAM and TIMESTAMP of the rows that share stream and time with another."""
    places = [pl.DataFrame(schema=_PLACES)]
    for unit, batch, rows in zip(contested, batches, _of_shared_times(batches), strict=True):
        if not len(rows):
            continue  # as of most
        row_numbers = pl.Series(_ROW, rows, dtype=pl.UInt32)
        some = batch.frame.select(STREAM, TIMESTAMP)[row_numbers]
        places.append(
            some.select(pl.lit(unit, pl.UInt32).alias(_UNIT), row_numbers, _numbered(batch, some, numbers), TIMESTAMP)
        )
    return pl.concat(places).filter(pl.struct(STREAM, TIMESTAMP).is_duplicated())


class _Span(NamedTuple):
    """Rows of one stream in one batch, and their times."""

    low: int
    high: int
    batch: int
    begin: int
    end: int


def _of_shared_times(batches: Sequence[Batch]) -> list[Integers]:
    """By batch, the numbers of the rows at times that spans of several batches share in a stream; or of some more."""
    times = [batch.frame[TIMESTAMP].to_numpy() for batch in batches]
    streams: dict[Labels, list[_Span]] = {}
    for number, batch in enumerate(batches):
        if batch.runs is None or len(batch.runs) > _FEW_SPANS:
            return _all_rows(batches)  # nothing is known of their order
        for stream, span in _spans(number, times[number], batch.runs):
            streams.setdefault(batch.streams[stream], []).append(span)
    shared = {stream: windows for stream, spans in streams.items() if (windows := _windows(sorted(spans)))}
    if sum(len(streams[stream]) for stream in shared) > _FEW_SPANS:
        return _all_rows(batches)
    rows: list[list[Integers]] = [[np.array([], np.int64)] for _ in batches]
    for labels, windows in shared.items():
        ends = [high for _, high in windows]
        for span in streams[labels]:
            own = times[span.batch][span.begin : span.end]
            for low, high in windows[bisect_left(ends, span.low) :]:
                if low > span.high:
                    break
                begin, end = np.searchsorted(own, low, "left"), np.searchsorted(own, high, "right")
                rows[span.batch].append(np.arange(span.begin + begin, span.begin + end))
    return list(map(np.concatenate, rows))


def _all_rows(batches: Sequence[Batch]) -> list[Integers]:
    return [np.arange(batch.rows) for batch in batches]


def _spans(number: int, times: Integers, runs: Sequence[tuple[int, int]]) -> Iterator[tuple[int, _Span]]:
    """By the number of the stream, of a batch with these runs."""
    end = 0
    for stream, rows in runs:
        begin, end = end, end + rows
        yield stream, _Span(int(times[begin]), int(times[end - 1]), number, begin, end)


def _windows(spans: Sequence[_Span]) -> list[tuple[int, int]]:
    """The times, from one to another, that two of the spans have at least. The spans are sorted, the windows too."""
    windows: list[tuple[int, int]] = []
    reach = spans[0].high
    for span in spans[1:]:
        if span.low <= reach:
            high = min(span.high, reach)
            if windows and span.low <= windows[-1][1]:
                windows[-1] = windows[-1][0], max(windows[-1][1], high)
            else:
                windows.append((span.low, high))
        reach = max(reach, span.high)
    return windows


def _suspected(batch: Batch, own: pl.DataFrame, numbers: dict[Labels, int]) -> pl.DataFrame:
    """The rows of one unit that are in question."""
    rows = batch.frame.with_columns(_numbered(batch, batch.frame, numbers))[own[_ROW]]
    return rows.with_columns(own[_UNIT], own[_ROW])


def _repeated(rows: pl.DataFrame) -> Mapping[int, pl.Series]:
    rows = rows.sort(ARRIVAL, _UNIT, _ROW)
    again = rows.filter(~pl.struct(STREAM, TIMESTAMP, LINE, METADATA).is_first_distinct())
    return {
        number: own[_ROW]
        for (number,), own in again.partition_by(_UNIT, as_dict=True).items()
        if isinstance(number, int)
    }


def _numbered(batch: Batch, rows: pl.DataFrame, numbers: dict[Labels, int]) -> pl.Series:
    """The streams of rows of the batch."""
    table = [numbers.setdefault(labels, len(numbers)) for labels in batch.streams]
    return pl.Series(STREAM, table, dtype=pl.UInt32).gather(rows[STREAM]).alias(STREAM)
