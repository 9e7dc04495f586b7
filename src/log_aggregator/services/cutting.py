"""The rows of a scan cut out of a record, a block or a row group."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import polars as pl

from log_aggregator.engine.batch import Batch, Form
from log_aggregator.formats.chunk import LINE_BYTES, ROW_OFFSET, ROWS, SHAPE
from log_aggregator.model.labels import Labels
from log_aggregator.model.segment import ARRIVAL, LINE, STREAM, TIMESTAMP
from log_aggregator.services.layout import Run
from log_aggregator.services.tail import Block
from log_aggregator.services.units import Scan, TailUnit, Unit

# Up to this many runs of wanted rows are cut out one by one; more are found by their numbers.
MAX_SLICES = 64


def is_inside(unit: Unit, scan: Scan) -> bool:
    return scan.start_ns <= unit.min_ns and unit.max_ns < scan.end_ns


def of_record(
    unit: TailUnit,
    streams: tuple[Labels, ...],
    rows: pl.DataFrame,
    scan: Scan,
    columns: Collection[str],
    period_ns: int,
) -> Batch:
    chosen = pl.Series(STREAM, [n for n, labels in enumerate(streams) if scan.accepts(labels)], dtype=pl.UInt32)
    if len(chosen) < len(streams):
        rows = rows.filter(pl.col(STREAM).is_in(chosen.implode()))
    if not is_inside(unit, scan):
        rows = rows.filter(pl.col(TIMESTAMP).is_between(scan.start_ns, scan.end_ns, closed="left"))
    for period in unit.covered:
        rows = rows.filter(~pl.col(TIMESTAMP).is_between(period, period + period_ns, closed="left"))
    made = {
        ARRIVAL: pl.lit(unit.records[0].position.arrival, pl.Int64).alias(ARRIVAL),
        LINE_BYTES: pl.col(LINE).str.len_bytes().alias(LINE_BYTES),
    }
    return Batch(streams, rows.select(made.get(name, pl.col(name)) for name in columns))


_Runs = tuple[tuple[int, int], ...]


def of_block(unit: TailUnit, block: Block, scan: Scan, columns: Collection[str], forms: Mapping[str, Form]) -> Batch:
    runs, offset = [], 0
    accepted = [scan.accepts(labels) for labels in block.streams]
    for stream, count in block.runs:
        if accepted[stream]:
            runs.append(Run(stream, offset, count, unit.min_ns, unit.max_ns))
        offset += count
    rows = block.columns({*columns, TIMESTAMP} - {STREAM, LINE_BYTES}, forms)
    if LINE_BYTES in columns:
        rows = rows.with_columns(block.frame[LINE].str.len_bytes().alias(LINE_BYTES))
    cut = cut_out if len(runs) <= MAX_SLICES else cut_many
    frame, lengths = cut(rows, runs, scan, columns, is_inside=is_inside(unit, scan))
    return Batch(block.streams, frame, block.shapes if SHAPE in columns else None, lengths)


def cut_out(
    rows: pl.DataFrame, runs: Sequence[Run], scan: Scan, columns: Collection[str], *, is_inside: bool
) -> tuple[pl.DataFrame, _Runs]:
    """The rows of the runs that lie in the range, run by run."""
    parts = [(run.stream, run.offset, run.rows) for run in runs]
    if not is_inside:
        parts = _cut(runs, rows[TIMESTAMP], scan)
    kept = _rows_of([(offset, count) for _, offset, count in parts], rows)
    lengths = tuple((stream, count) for stream, _, count in parts)
    found = {column.name: column for column in kept.get_columns()}
    if STREAM in columns:
        found[STREAM] = _stream_numbers(lengths)
    return pl.DataFrame([found[name] for name in columns]), lengths


def cut_many(
    rows: pl.DataFrame, runs: Sequence[Run], scan: Scan, columns: Collection[str], *, is_inside: bool
) -> tuple[pl.DataFrame, _Runs]:
    """The same by row numbers, and the range by a mask."""
    table = pl.DataFrame(
        [(run.stream, run.offset, run.rows) for run in runs],
        pl.Schema({STREAM: pl.UInt32, ROW_OFFSET: pl.UInt32, ROWS: pl.UInt32}),
        orient="row",
    )
    numbers = table.select(
        pl.int_ranges(ROW_OFFSET, pl.col(ROW_OFFSET) + pl.col(ROWS), dtype=pl.UInt32).alias("row"), STREAM
    ).explode("row")
    kept = rows[numbers["row"]].with_columns(numbers[STREAM]) if rows.width else numbers.select(STREAM)
    if not is_inside:
        kept = kept.filter(pl.col(TIMESTAMP).is_between(scan.start_ns, scan.end_ns, closed="left"))
    lengths = tuple(kept[STREAM].rle().struct.unnest().select("value", "len").iter_rows())
    return kept.select(columns), lengths


def _cut(runs: Sequence[Run], times: pl.Series, scan: Scan) -> list[tuple[int, int, int]]:
    """Stream, first row and number of rows of each run's part in the range."""
    cut, values = [], times.to_numpy()
    for run in runs:
        first, last = 0, run.rows
        own = values[run.offset : run.offset + run.rows]
        if run.min_ns < scan.start_ns:
            first = int(own.searchsorted(scan.start_ns))
        if run.max_ns >= scan.end_ns:
            last = int(own.searchsorted(scan.end_ns))
        if first < last:
            cut.append((run.stream, run.offset + first, last - first))
    return cut


def _rows_of(parts: Sequence[tuple[int, int]], rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of all the parts (first row, number), in order. Parts that follow on each other are cut out as one."""
    if not rows.width:
        return rows
    pieces: list[tuple[int, int]] = []
    for offset, count in parts:
        if pieces and pieces[-1][0] + pieces[-1][1] == offset:
            pieces[-1] = (pieces[-1][0], pieces[-1][1] + count)
        else:
            pieces.append((offset, count))
    if not pieces:
        return rows.clear()
    if len(pieces) == 1:
        return rows.slice(*pieces[0])
    return pl.concat([rows.slice(offset, count) for offset, count in pieces])


def _stream_numbers(lengths: Sequence[tuple[int, int]]) -> pl.Series:
    streams, counts = np.array(lengths, np.uint32).reshape(-1, 2).T
    return pl.Series(STREAM, np.repeat(streams, counts))
