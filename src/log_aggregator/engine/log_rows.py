"""The rows of a batch that an answer of log lines may need, chosen on columns."""

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from log_aggregator.engine.batch import Batch, Integers
from log_aggregator.engine.combinations import Combinations
from log_aggregator.engine.log_plan import LogPlan
from log_aggregator.engine.order import Direction
from log_aggregator.engine.shapes import Shape
from log_aggregator.model.labels import Labels
from log_aggregator.model.segment import BATCH_SCHEMA, METADATA, STREAM, TIMESTAMP


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
        frame = batch.frame if self._plan.mask is None else batch.frame.filter(self._plan.mask)
        rows, is_sure = None, self._plan.is_decided
        if self._plan.passes is not None and frame.height:
            rows, is_all = self._passing(self._plan.passes, frame, batch)
            is_sure = is_sure and is_all
        if self._limit is not None and is_sure and (frame.height if rows is None else len(rows)) > self._limit:
            rows = self._nearest(frame, np.arange(frame.height) if rows is None else rows, self._limit)
        frame = frame.select(BATCH_SCHEMA.names())
        if rows is not None and len(rows) < frame.height:
            frame = frame[rows]
        return frame if frame.schema[METADATA] == pl.String else frame.with_columns(frame[METADATA].cast(pl.String))

    @staticmethod
    def _passing(passes: Combinations, frame: pl.DataFrame, batch: Batch) -> tuple[Integers | None, bool]:
        """The numbers of the rows that may pass (None: of all), and whether each of them surely does."""
        present = batch.present(frame)
        easy, fields = passes.fields(frame, batch.shapes, passes.fields_read(list(present.values())))
        answers = passes.numbers(frame, present, fields)
        if answers is None:
            return None, False
        kept = answers >= 0
        if easy is not None and not easy.all():
            return np.flatnonzero(kept | ~easy.to_numpy()), False
        return np.flatnonzero(kept), True

    def _nearest(self, frame: pl.DataFrame, rows: Integers, limit: int) -> Integers:
        """As many of the rows as the limit, those nearest to where the answer begins, and those of equal time."""
        times, streams = frame[TIMESTAMP].to_numpy()[rows], frame[STREAM].to_numpy()[rows]
        near = self._within(times, times, limit)
        if _has_pairs(streams[near], times[near]):
            # Perhaps the same entry twice. So many different times hold as many entries.
            near = self._within(times, np.unique(times), limit)
        self.has_cut |= len(near) < len(rows)
        return rows[near]

    def _within(self, times: Integers, some: Integers, limit: int) -> Integers:
        """The indexes of times up to the one that is the limit's among some."""
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
