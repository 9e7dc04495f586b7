"""The rows of a batch that an answer of log lines may need, chosen on columns."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from log_aggregator.engine.batch import Batch, Form, Integers
from log_aggregator.engine.combinations import Combinations, common_names
from log_aggregator.engine.label_columns import both, either
from log_aggregator.engine.label_plan import LabelPlan, fields_read, forms_of
from log_aggregator.engine.log_plan import LogPlan
from log_aggregator.engine.order import Direction
from log_aggregator.engine.pipeline import compile_pipeline
from log_aggregator.engine.query_memory import QueryMemory
from log_aggregator.engine.shapes import Shape
from log_aggregator.model.columns import constant
from log_aggregator.model.labels import Labels
from log_aggregator.model.segment import BATCH_SCHEMA, LINE, METADATA, STREAM, TIMESTAMP

_ROW = "row"
"""The number of a row among those that pass the line filters."""

_NEAR = 8
"""So many rows for each of the limit are looked at before all are. Where fewer pass, most are needed anyway."""


@dataclass(frozen=True, slots=True)
class _Passing:
    """The numbers of rows that may pass (None: of all), and which of these surely do (None: all)."""

    rows: Integers | None
    are_sure: npt.NDArray[np.bool_] | None


class RowChooser:
    """Safe to use from several threads.

    With a limit, a batch gives no more rows than that, and those of equal time, from the end where the answer begins:
    where every chosen row surely passes the pipeline. `has_cut` then tells that rows were left out for the limit, which
    matters if some of the others turn out not to count.
    """

    def __init__(self, plan: LogPlan, direction: Direction, limit: int | None) -> None:
        self._plan = plan
        self._direction = direction
        self.limit = limit
        self._combinations: dict[frozenset[int], Combinations | None] = {}
        self._are_all_sure = True  # the rows that were chosen so far
        self._is_enough_near = True  # as far as batches were looked at so
        self.has_cut = False

    @property
    def parses(self) -> bool:
        """Whether it wants fields of lines."""
        return self._plan.labels is not None and bool(self._plan.labels.chain.parsers)

    def columns(
        self, available: Collection[str], shapes: Sequence[Shape] | None, streams: Sequence[Labels]
    ) -> set[str]:
        """What `choose` wants of a batch with these columns and shapes, of these streams."""
        wanted, labels = set(BATCH_SCHEMA.names()), self._plan.labels
        if labels is not None:
            wanted |= labels.chain.columns(available, shapes, self._reads(labels, streams))
        return wanted

    def forms(self, columns: Collection[str]) -> dict[str, Form]:
        """The forms in which `choose` wants these columns."""
        return forms_of(columns, () if self._plan.labels is None else self._plan.labels.numeric_columns)

    def choose(self, batch: Batch) -> pl.DataFrame:
        """The rows, with BATCH_SCHEMA."""
        frame = batch.frame if self._plan.mask is None else batch.frame.filter(self._plan.mask)
        rows, is_sure = None, self._plan.is_decided
        if self._plan.labels is not None and frame.height:
            passing = self._enough_near(self._plan.labels, frame, batch) if is_sure else None
            passing = passing or self._passing(self._plan.labels, frame, batch)
            rows, is_sure = passing.rows, is_sure and passing.are_sure is None
        if not is_sure:
            self._are_all_sure = False
        if self.limit is not None and is_sure and (frame.height if rows is None else len(rows)) > self.limit:
            rows = self._nearest(frame, np.arange(frame.height) if rows is None else rows, self.limit)
        frame = frame[BATCH_SCHEMA.names()]
        if rows is not None and len(rows) < frame.height:
            frame = frame[rows]
        return frame if frame.schema[METADATA] == pl.String else frame.with_columns(frame[METADATA].cast(pl.String))

    def _enough_near(self, labels: LabelPlan, frame: pl.DataFrame, batch: Batch) -> "_Passing | None":
        """Rows near the beginning of the answer, of which as many as the limit surely pass.

        None: there may be fewer near there, or no lines are read, so that it takes little to look at all rows.
        """
        if self.limit is None or not self._is_enough_near or frame.height < 2 * _NEAR * self.limit:
            return None
        reads = self._reads(labels, list(batch.present(frame).values()))
        if LINE not in labels.chain.columns(frame.columns, batch.shapes, reads):
            return None
        times, streams = frame[TIMESTAMP].to_numpy(), frame[STREAM].to_numpy()
        last_ns = self._last_ns(times, streams, _NEAR * self.limit)
        if last_ns is None or 2 * len(near := self._until(times, last_ns)) > frame.height:
            return None
        passing = self._passing(labels, frame[near], batch)
        rows = near if passing.rows is None else near[passing.rows]
        sure = rows if passing.are_sure is None else rows[passing.are_sure]
        last_ns = self._last_ns(times[sure], streams[sure], self.limit)
        if last_ns is None:
            self._is_enough_near = False
            return None
        self.has_cut = True
        enough = self._until(times[rows], last_ns)
        return _Passing(rows[enough], None if passing.are_sure is None else passing.are_sure[enough])

    def _passing(self, labels: LabelPlan, frame: pl.DataFrame, batch: Batch) -> "_Passing":
        present = batch.present(frame)
        rows = frame.height
        read = labels.read(
            frame.with_row_index(_ROW), batch.shapes, present, self._reads(labels, list(present.values()))
        )
        if read is None:
            return _Passing(np.arange(0), None)
        frame, found = read
        judgement = labels.judge(labels.chain.labels(frame, present, found), frame.height, found)
        passes, unsure = judgement.passes, judgement.unsure
        if not labels.are_outlined(judgement.decided) or labels.reads_formatted(judgement.decided):
            unsure = constant(True, frame.height, pl.Boolean)
        elif (combinations := self._undecided(labels, judgement.decided)) is not None:
            names = combinations.names or frozenset()
            fields = found.fields(lambda name, column: column if name in names else None)
            packed = combinations.packed(frame, present, fields)
            if packed is None:
                unsure = constant(True, frame.height, pl.Boolean)
            else:
                kept = pl.Series(combinations.answers(packed, packed.numbers) >= 0)
                passes = both(passes, kept if judgement.unsure is None else kept | judgement.unsure)
        if found.easy is not None:
            unsure = either(unsure, ~found.easy)
            passes = None if passes is None else passes | ~found.easy
        if unsure is not None and not unsure.any():
            unsure = None
        sure = None if unsure is None else ~unsure
        if passes is None:
            numbers = None if frame.height == rows else frame[_ROW].to_numpy()
        else:
            numbers = frame[_ROW].filter(passes).to_numpy()
            sure = None if sure is None else sure.filter(passes)
        return _Passing(numbers, None if sure is None else sure.to_numpy())

    @staticmethod
    def _reads(labels: LabelPlan, streams: Sequence[Labels]) -> list[str]:
        """The fields that the filters depend on."""
        names = (labels.names_without(frozenset()) or frozenset()) | labels.filter_names
        return fields_read(names, common_names(streams))

    def _undecided(self, labels: LabelPlan, decided: frozenset[int]) -> Combinations | None:
        """The filters that are not decided, by combinations of labels; None where there are none."""
        if decided not in self._combinations:
            names = labels.names_without(decided)
            if names is None:
                self._combinations[decided] = None
            else:
                outlined = compile_pipeline(labels.stages_without(decided), compiled=labels.chain.outline_process)

                def passes(stream: Labels, metadata: Mapping[str, str], fields: Mapping[str, str]) -> int | None:
                    row = outlined.process(0, labels.chain.outline(fields), stream, metadata)
                    return None if row is None else 1

                self._combinations[decided] = Combinations(names, passes, QueryMemory())
        return self._combinations[decided]

    def last_ns(self, chosen: pl.DataFrame) -> int | None:
        """The time beyond which no batch need be looked at, as these chosen rows are enough; None if they may not be.

        Of several batches, with one table of streams. What lies beyond counts as cut.
        """
        if self.limit is None or not self._are_all_sure:
            return None
        last_ns = self._last_ns(chosen[TIMESTAMP].to_numpy(), chosen[STREAM].to_numpy(), self.limit)
        if last_ns is not None:
            self.has_cut = True
        return last_ns

    def _nearest(self, frame: pl.DataFrame, rows: Integers, limit: int) -> Integers:
        """As many of the rows as the limit, those nearest to where the answer begins, and those of equal time."""
        times, streams = frame[TIMESTAMP].to_numpy()[rows], frame[STREAM].to_numpy()[rows]
        last_ns = self._last_ns(times, streams, limit)
        if last_ns is None:
            return rows
        near = self._until(times, last_ns)
        if len(near) < len(rows):
            self.has_cut = True
        return rows[near]

    def _last_ns(self, times: Integers, streams: Integers, limit: int) -> int | None:
        """The time up to which so many entries surely stand; None if there may be fewer."""
        if len(times) < limit:
            return None
        last_ns = self._nth(times, limit)
        near = self._until(times, last_ns)
        if _has_pairs(streams[near], times[near]):
            # Perhaps the same entry twice. So many different times hold as many entries.
            distinct = np.unique(times)
            return self._nth(distinct, limit) if len(distinct) >= limit else None
        return last_ns

    def _nth(self, times: Integers, limit: int) -> int:
        """The one of the limit, counted from where the answer begins."""
        at = len(times) - limit if self._direction == "backward" else limit - 1
        return int(np.partition(times, at)[at])

    def _until(self, times: Integers, last_ns: int) -> Integers:
        """The indexes of times up to that one."""
        return np.flatnonzero(times >= last_ns if self._direction == "backward" else times <= last_ns)


def _has_pairs(streams: npt.NDArray[np.integer], times: Integers) -> bool:
    """Whether two rows have the same of both."""
    order = np.lexsort((times, streams))
    streams, times = streams[order], times[order]
    return bool(((streams[1:] == streams[:-1]) & (times[1:] == times[:-1])).any())
