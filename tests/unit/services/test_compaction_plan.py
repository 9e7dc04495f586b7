"""Which runs are merged, and where merged rows are cut."""

from collections.abc import Sequence
from itertools import pairwise

import polars as pl
import pytest

from log_aggregator.formats.chunk import REF_SCHEMA
from log_aggregator.services.compaction_plan import Cell, Run, cells_of, runs_to_merge

MB = 1 << 20


def runs(*sizes_mb: float) -> list[Run]:
    return [Run((f"chunk-{number}",), int(size * MB)) for number, size in enumerate(sizes_mb)]


@pytest.mark.parametrize(
    ("sizes_mb", "closed", "merged_mb"),
    [
        ([], True, []),
        ([5], True, []),
        ([5, 5], True, [5, 5]),
        ([5, 5], False, []),
        ([1] * 7, False, []),
        ([1] * 8, False, [1] * 8),
        ([0.01, 0.5, 1, 2, 3, 0.1, 4, 4], False, [0.01, 0.1, 0.5, 1, 2, 3, 4, 4]),
        ([32, *[4] * 7], False, []),
        ([32, *[4] * 8], False, [4] * 8),
        ([31] * 8, False, [31] * 8),
        ([32] * 8, False, []),
        ([32, 32, 32, 4, 4], True, [4, 4, 32, 32, 32]),
        ([1000, 1], True, []),
        ([1000, 1, 1], True, [1, 1]),
        ([5, 24, 25], True, [5, 24, 25]),
        ([5, 24, 1000], True, []),
        ([5, 24, 25, 1000], True, [5, 24, 25]),
        ([4, *[9] * 7], False, [4, *[9] * 7]),
    ],
)
def test_runs_of_like_size_are_merged(sizes_mb: list[float], closed: bool, merged_mb: list[float]) -> None:
    merged = runs_to_merge(runs(*sizes_mb), closed=closed)
    assert [run.stored_bytes for run in merged] == [int(size * MB) for size in merged_mb]


def test_a_day_of_flushes_is_written_three_times() -> None:
    """Once by the flushes, once while the day lasts, once at its end."""
    stored: list[Run] = []
    written = 0
    for hour in range(96):
        stored.append(Run((f"flush-{hour}",), 4 * MB))
        written += 4 * MB
        while merging := runs_to_merge(stored, closed=hour == 95):
            size = sum(run.stored_bytes for run in merging)
            stored = [run for run in stored if run not in merging]
            stored.append(Run((f"merged-{hour}-{size}",), size))
            written += size
    assert len(stored) == 1
    assert written / (96 * 4 * MB) <= 3.0


def refs(*extents: tuple[int, int, int]) -> pl.DataFrame:
    rows = [(0, 0, 0, 1, low, high, text_bytes) for low, high, text_bytes in extents]
    return pl.DataFrame(rows, REF_SCHEMA, orient="row")


@pytest.mark.parametrize(
    ("extents", "count"),
    [
        ([(0, 0, 5)], 1),
        ([(0, 999, 100)], 1),
        ([(0, 999, 400)], 4),
        ([(0, 99, 100), (100, 199, 100), (200, 299, 100)], 3),
        ([(0, 999, 50), (0, 999, 50), (900, 999, 100)], 2),
    ],
)
def test_cells_hold_about_so_much_text(extents: Sequence[tuple[int, int, int]], count: int) -> None:
    cells = cells_of(refs(*extents), cell_text_bytes=100)
    assert count <= len(cells) <= count + 1
    assert cells[0].start_ns == min(low for low, _, _ in extents)
    assert cells[-1].end_ns == max(high for _, high, _ in extents) + 1
    assert all(one.end_ns == following.start_ns for one, following in pairwise(cells))


def test_a_moment_that_holds_too_much_is_divided_by_streams() -> None:
    cells = cells_of(refs((7, 7, 300)), cell_text_bytes=100)
    assert cells == [Cell(7, 8, part, 3) for part in range(3)]
    assert all(sum(cell.holds(stream) for cell in cells) == 1 for stream in range(10))
