"""The rows of a batch that an answer of log lines may need, chosen on columns."""

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from log_aggregator.engine.batch import Batch
from log_aggregator.engine.combinations import Combinations
from log_aggregator.engine.log_plan import LogPlan
from log_aggregator.engine.order import Direction
from log_aggregator.engine.shapes import Shape
from log_aggregator.model.labels import Labels
from log_aggregator.model.segment import BATCH_SCHEMA, METADATA, STREAM, TIMESTAMP

Integers = npt.NDArray[np.int64]


class RowChooser:
    """Safe to use from several threads.

    With a limit, a batch gives no more rows than that, and those of equal time, from the end where the answer begins:
    where every chosen row surely passes the pipeline. `has_cut` then tells that rows were left out for the limit, which
    matters if some of the others turn out not to count.
    """

    def __init__(self, plan: LogPlan, direction: Direction, limit: int | None) -> None:
        self._plan = plan
        self._direction = direction
        self._limit = limit
        self.has_cut = False

    def columns(
        self, available: Collection[str], shapes: Sequence[Shape] | None, streams: Sequence[Labels]
    ) -> set[str]:
        """What `choose` wants of a batch with these columns and shapes, of these streams."""
        wanted = set(BATCH_SCHEMA.names())
        if self._plan.passes is not None:
            wanted |= self._plan.passes.columns(available, shapes, streams)
        return wanted

    def choose(self, batch: Batch) -> pl.DataFrame:
        """The rows, with BATCH_SCHEMA."""
        frame = batch.frame
        is_sure = self._plan.is_decided
        if self._plan.mask is not None:
            frame = frame.filter(self._plan.mask)
        if self._plan.passes is not None and frame.height:
            frame, is_sure = self._passing(self._plan.passes, frame, batch, is_sure)
        if self._limit is not None and is_sure and frame.height > self._limit:
            frame = self._nearest(frame, self._limit)
        frame = frame.select(BATCH_SCHEMA.names())
        return frame if frame.schema[METADATA] == pl.String else frame.with_columns(pl.col(METADATA).cast(pl.String))

    def _passing(
        self, passes: Combinations, frame: pl.DataFrame, batch: Batch, is_sure: bool
    ) -> tuple[pl.DataFrame, bool]:
        streams = [batch.streams[number] for number in frame[STREAM].unique()]
        easy, fields = passes.fields(frame, batch.shapes, passes.fields_read(streams))
        answers = passes.numbers(frame, batch.streams, fields)
        if answers is None:
            return frame, False
        kept = answers.is_not_null()
        if easy is not None and not easy.all():
            return frame.filter(kept | ~easy), False
        return frame.filter(kept), is_sure

    def _nearest(self, frame: pl.DataFrame, limit: int) -> pl.DataFrame:
        times, streams = frame[TIMESTAMP].to_numpy(), frame[STREAM].to_numpy()
        rows = self._within(times, times, limit)
        if _has_pairs(streams[rows], times[rows]):
            # Perhaps the same entry twice. So many different times hold as many entries.
            rows = self._within(times, np.unique(times), limit)
        self.has_cut |= len(rows) < frame.height
        return frame[rows] if len(rows) < frame.height else frame

    def _within(self, times: Integers, some: Integers, limit: int) -> Integers:
        """The rows up to the time that is the limit's among these."""
        if len(some) <= limit:
            return np.arange(len(times))
        if self._direction == "backward":
            return np.flatnonzero(times >= np.partition(some, len(some) - limit)[len(some) - limit])
        return np.flatnonzero(times <= np.partition(some, limit - 1)[limit - 1])


def _has_pairs(streams: npt.NDArray[np.integer], times: Integers) -> bool:
    """Whether two rows have the same of both."""
    order = np.lexsort((times, streams))
    streams, times = streams[order], times[order]
    return bool(((streams[1:] == streams[:-1]) & (times[1:] == times[:-1])).any())
