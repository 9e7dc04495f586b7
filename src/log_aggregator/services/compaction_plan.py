"""What to merge, and how to cut the merged rows into chunks. Pure functions of sizes and extents.

A run is what one flush or one compaction has written: chunks of which no two overlap in both stream and time. Runs of
about equal size are merged, so that each byte is written again only when its run grows by a factor: once for every
eight flushes of an open period, and once when the period is closed. Late data is merged with late data, and leaves the
large run of its period alone. Runs below 4 MB count as 4 MB: they are written more often, and so are not many for long.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import polars as pl

from log_aggregator.formats.chunk import MAX, MIN, TEXT_BYTES

# Below this, one run is as small as another.
_SMALL_BYTES: Final = 4 << 20
# Merged while the period still receives data: at least so many runs, the largest at most twice the others' average.
_OPEN_RUNS: Final = 8
_OPEN_FACTOR: Final = 2
_LARGE_BYTES: Final = 32 << 20  # a run of this size waits for the end of its period
# Merged afterwards: two or more, the largest at most four times the others together.
_CLOSED_RUNS: Final = 2
_CLOSED_FACTOR: Final = 4
# What is merged in memory at once. Measured: it takes twice as much, and the chunk is a fifth of it.
CELL_TEXT_BYTES: Final = 64 << 20
_BUCKETS: Final = 512

_BUCKET = "bucket"


@dataclass(frozen=True, slots=True)
class Run:
    """`chunks` are keys of chunk objects."""

    chunks: tuple[str, ...]
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class Cell:
    """Rows of `[start_ns, end_ns)`, of every stream whose number is congruent to `part`: they become one chunk."""

    start_ns: int
    end_ns: int
    part: int = 0
    parts: int = 1

    def holds(self, stream: int) -> bool:
        return stream % self.parts == self.part


class Choice(Protocol):
    """Which runs of a period are merged: two or more, or none."""

    def __call__(self, runs: Sequence[Run], *, closed: bool) -> list[Run]: ...


def runs_to_merge(runs: Sequence[Run], *, closed: bool) -> list[Run]:
    """The smaller ones, as many as pay. `closed` says that the period is over."""
    ordered = sorted(runs, key=lambda run: run.stored_bytes)
    most = total = 0
    for number, run in enumerate(ordered):
        if run.stored_bytes >= _LARGE_BYTES and not closed:
            break
        size = max(run.stored_bytes, _SMALL_BYTES)
        # Of the largest alone: that it grows enough is worth the bytes of those that grow more.
        if size <= (_CLOSED_FACTOR * total if closed else _OPEN_FACTOR * total // max(number, 1)):
            most = number + 1
        total += size
    return ordered[:most] if most >= (_CLOSED_RUNS if closed else _OPEN_RUNS) else []


def cells_of(refs: pl.DataFrame, cell_text_bytes: int = CELL_TEXT_BYTES) -> list[Cell]:
    """Consecutive stretches of time that hold about so much text each, as if each ref's rows were spread evenly.

    Where a moment holds far more, its streams are divided. `refs` has REF_SCHEMA's columns and is not empty.
    """
    start, last = refs.select(low=pl.col(MIN).min(), high=pl.col(MAX).max()).row(0)
    width = (last - start) // _BUCKETS + 1
    cells: list[Cell] = []
    begin, size = start, 0.0
    for number, text_bytes in enumerate(_text_by_bucket(refs, start, width)):
        if size and size + text_bytes > cell_text_bytes:
            edge = start + number * width
            cells += _divided(begin, edge, size, cell_text_bytes)
            begin, size = edge, 0.0
        size += text_bytes
    return [*cells, *_divided(begin, last + 1, size, cell_text_bytes)]


def _divided(start_ns: int, end_ns: int, text_bytes: float, cell_text_bytes: int) -> list[Cell]:
    parts = max(1, round(text_bytes / cell_text_bytes))
    return [Cell(start_ns, end_ns, part, parts) for part in range(parts)]


def _text_by_bucket(refs: pl.DataFrame, start_ns: int, width_ns: int) -> list[float]:
    """How much text each bucket holds: what a ref adds where it begins, it takes away behind its end."""
    first, last = (pl.col(MIN) - start_ns) // width_ns, (pl.col(MAX) - start_ns) // width_ns
    share = pl.col(TEXT_BYTES) / (last - first + 1)
    changes = pl.concat(
        [
            refs.select(first.alias(_BUCKET), share.alias(TEXT_BYTES)),
            refs.select((last + 1).alias(_BUCKET), -share.alias(TEXT_BYTES)),
        ]
    )
    summed = dict(changes.group_by(_BUCKET).agg(pl.col(TEXT_BYTES).sum()).iter_rows())
    level, levels = 0.0, []
    for bucket in range(max(summed)):
        level += summed.get(bucket, 0.0)
        levels.append(max(level, 0.0))
    return levels
