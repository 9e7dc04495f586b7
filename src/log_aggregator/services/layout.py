"""Where the rows of each stream lie in the chunks of an index object, as plain values that a scan can walk quickly."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from log_aggregator.engine.selector import Accepts, LabelValues, Selector, label_values
from log_aggregator.engine.shapes import Shape
from log_aggregator.formats.chunk import MAX, MIN, ROW_GROUP, ROW_OFFSET, ROWS
from log_aggregator.formats.index import CHUNK, Index
from log_aggregator.model.lru import SizedLru
from log_aggregator.model.segment import STREAM, clamped_ns

DEFAULT_CACHE_BYTES = 64 << 20
_RUN_BYTES = 350  # and its ref in the index
# Of the cache, for the values of labels that were asked for.
_OF_LABELS = 0.2
_STREAM_BYTES = 4
_VALUE_BYTES = 16  # the characters are the index's


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
    _streams: npt.NDArray[np.uint32] = field(repr=False)
    _min_ns: npt.NDArray[np.int64] = field(repr=False)
    _max_ns: npt.NDArray[np.int64] = field(repr=False)

    @classmethod
    def of(cls, chunk: int, row_group: int, runs: Sequence[Run], shapes: tuple[Shape, ...] | None) -> "RowGroupLayout":
        streams = np.array([run.stream for run in runs], np.uint32)
        min_ns = np.array([run.min_ns for run in runs], np.int64)
        max_ns = np.array([run.max_ns for run in runs], np.int64)
        return cls(chunk, row_group, tuple(runs), shapes, streams, min_ns, max_ns)

    def runs_of(self, accepted: npt.NDArray[np.bool_], start_ns: int, end_ns: int) -> tuple[Run, ...]:
        """Those of streams in the mask that may have rows in `[start_ns, end_ns)`."""
        is_in_range = (self._min_ns <= clamped_ns(end_ns - 1)) & (self._max_ns >= clamped_ns(start_ns))
        chosen = accepted[self._streams] & is_in_range
        return self.runs if chosen.all() else tuple(self.runs[at] for at in chosen.nonzero()[0].tolist())


class Layouts:
    """Those of index objects in use. Safe to use from several threads."""

    def __init__(self, cache_bytes: int = DEFAULT_CACHE_BYTES) -> None:
        # By the identity of the index, which what is kept holds on to. Chunks tell no index from another: the next
        # generation has chunks of the one before, and a compaction reads indexes of some of their chunks.
        of_labels = int(_OF_LABELS * cache_bytes)
        self._cache: SizedLru[int, tuple[Index, tuple[RowGroupLayout, ...]]] = SizedLru(cache_bytes - of_labels)
        self._labels: SizedLru[tuple[int, str], tuple[Index, LabelValues]] = SizedLru(of_labels)

    def of(self, index: Index) -> tuple[RowGroupLayout, ...]:
        """The row groups to which the index has refs."""
        known = self._cache.get(id(index))
        if known is None:
            known = index, _layout(index)
            self._cache.put(id(index), known, index.refs.height * _RUN_BYTES)
        return known[1]

    def accepted(self, index: Index, accepts: Accepts) -> npt.NDArray[np.bool_]:
        """Which of its streams are accepted, by number."""
        if isinstance(accepts, Selector):
            return accepts.mask(len(index.streams), partial(self._values_of, index))
        return np.fromiter(map(accepts, index.streams), np.bool_, len(index.streams))

    def _values_of(self, index: Index, name: str) -> LabelValues:
        known = self._labels.get((id(index), name))
        if known is None:
            known = index, label_values(index.streams, name)
            size = _STREAM_BYTES * len(index.streams) + _VALUE_BYTES * len(known[1].values)
            self._labels.put((id(index), name), known, size)
        return known[1]


def _layout(index: Index) -> tuple[RowGroupLayout, ...]:
    groups: dict[tuple[int, int], list[Run]] = {}
    refs = index.refs.sort(CHUNK, ROW_GROUP, ROW_OFFSET)
    for chunk, row_group, *run in refs.select(CHUNK, ROW_GROUP, STREAM, ROW_OFFSET, ROWS, MIN, MAX).iter_rows():
        groups.setdefault((chunk, row_group), []).append(Run(*run))
    shapes = [_shapes(index, chunk) for chunk in range(len(index.chunks))]
    return tuple(
        RowGroupLayout.of(chunk, row_group, runs, shapes[chunk]) for (chunk, row_group), runs in groups.items()
    )


def _shapes(index: Index, chunk: int) -> tuple[Shape, ...] | None:
    stored = index.chunks[chunk].shapes
    return tuple(Shape(one.parser, one.names, one.pattern, one.prefix) for one in stored) if stored else None
