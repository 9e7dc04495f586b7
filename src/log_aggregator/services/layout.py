"""Where the rows of each stream lie in the chunks of an index object, as plain values that a scan can walk quickly."""

from dataclasses import dataclass, field
from typing import NamedTuple

from log_aggregator.engine.shapes import Shape
from log_aggregator.formats.chunk import MAX, MIN, ROW_GROUP, ROW_OFFSET, ROWS
from log_aggregator.formats.index import CHUNK, Index
from log_aggregator.model.lru import SizedLru
from log_aggregator.model.segment import STREAM

DEFAULT_CACHE_BYTES = 64 << 20
_RUN_BYTES = 320  # and its ref in the index


class Run(NamedTuple):
    """The rows of one stream in one row group, sorted by time; both times are inclusive."""

    stream: int
    offset: int
    rows: int
    min_ns: int
    max_ns: int


@dataclass(frozen=True, slots=True)
class RowGroupLayout:
    """Runs in the order of the rows."""

    chunk: int
    row_group: int
    runs: tuple[Run, ...] = field(repr=False)
    shapes: tuple[Shape, ...] | None = field(repr=False)


class Layouts:
    """Those of index objects in use. Safe to use from several threads."""

    def __init__(self, cache_bytes: int = DEFAULT_CACHE_BYTES) -> None:
        # By the identity of the index, which what is kept holds on to. Chunks tell no index from another: the next
        # generation has chunks of the one before, and a compaction reads indexes of some of their chunks.
        self._cache: SizedLru[int, tuple[Index, tuple[RowGroupLayout, ...]]] = SizedLru(cache_bytes)

    def of(self, index: Index) -> tuple[RowGroupLayout, ...]:
        """The row groups to which the index has refs."""
        known = self._cache.get(id(index))
        if known is None:
            known = index, _layout(index)
            self._cache.put(id(index), known, index.refs.height * _RUN_BYTES)
        return known[1]


def _layout(index: Index) -> tuple[RowGroupLayout, ...]:
    groups: dict[tuple[int, int], list[Run]] = {}
    refs = index.refs.sort(CHUNK, ROW_GROUP, ROW_OFFSET)
    for chunk, row_group, *run in refs.select(CHUNK, ROW_GROUP, STREAM, ROW_OFFSET, ROWS, MIN, MAX).iter_rows():
        groups.setdefault((chunk, row_group), []).append(Run(*run))
    shapes = [_shapes(index, chunk) for chunk in range(len(index.chunks))]
    return tuple(
        RowGroupLayout(chunk, row_group, tuple(runs), shapes[chunk]) for (chunk, row_group), runs in groups.items()
    )


def _shapes(index: Index, chunk: int) -> tuple[Shape, ...] | None:
    stored = index.chunks[chunk].shapes
    return tuple(Shape(one.parser, one.names, one.pattern, one.prefix) for one in stored) if stored else None
