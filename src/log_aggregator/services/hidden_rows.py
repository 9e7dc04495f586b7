"""Entries that are stored and must not be seen: what delete requests select, and what has expired."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import reduce

import polars as pl

from log_aggregator.engine.batch import Batch
from log_aggregator.engine.columnar import push_line_filters
from log_aggregator.engine.pipeline import Pipeline, compile_pipeline
from log_aggregator.engine.selector import Accepts, Selector
from log_aggregator.formats.delete_request import DeleteRequest
from log_aggregator.formats.metadata import parse_metadata
from log_aggregator.logql.ast import LogExpr
from log_aggregator.model.labels import Labels
from log_aggregator.model.segment import LINE, METADATA, STREAM, TIMESTAMP, clamped_ns
from log_aggregator.services.retention import Retention


@dataclass(frozen=True, slots=True)
class Deletion:
    """A delete request in the form in which it is applied."""

    start_ns: int
    end_ns: int
    accepts: Accepts = field(repr=False)
    predicate: pl.Expr | None = field(repr=False)
    pipeline: Pipeline | None = field(repr=False)

    @property
    def takes_whole_streams(self) -> bool:
        """Every entry of the time goes, whatever its line says."""
        return self.predicate is None and self.pipeline is None

    def overlaps(self, min_ns: int, max_ns: int) -> bool:
        """Whether it may concern entries between these times, both inclusive."""
        return self.start_ns <= max_ns and min_ns < self.end_ns


def deletion_of(request: DeleteRequest, expr: LogExpr | None) -> Deletion:
    """`expr` is the request's query, None for every stream."""
    if expr is None:
        return Deletion(request.start_ns, request.end_ns, lambda labels: True, None, None)
    pushed = push_line_filters(expr.stages)
    pipeline = compile_pipeline(pushed.rest) if pushed.rest else None
    accepts = Selector(expr.matchers)
    return Deletion(request.start_ns, request.end_ns, accepts, pushed.predicate, pipeline)


@dataclass(frozen=True, slots=True)
class HiddenRows:
    """What of a tenant is hidden at one moment."""

    deletions: tuple[Deletion, ...]
    retention: Retention | None
    now_ns: int

    @property
    def oldest_ns(self) -> int:
        """Of no stream anything older is visible."""
        return -(1 << 63) if self.retention is None else self.retention.oldest_ns(self.now_ns)

    @property
    def columns(self) -> frozenset[str]:
        """What `kept` looks at."""
        if all(deletion.takes_whole_streams for deletion in self.deletions):
            return frozenset({STREAM, TIMESTAMP})
        return frozenset({STREAM, TIMESTAMP, LINE, METADATA})

    def among(self, streams: Iterable[Labels], min_ns: int, max_ns: int) -> "HiddenRows | None":
        """As `between`, for entries of these streams."""
        found = self.between(min_ns, max_ns)
        if found is None or found.retention is not None:
            return found
        tables = list(streams)
        deletions = tuple(one for one in found.deletions if any(map(one.accepts, tables)))
        return HiddenRows(deletions, None, self.now_ns) if deletions else None

    def between(self, min_ns: int, max_ns: int) -> "HiddenRows | None":
        """What may concern entries between these times, both inclusive; None if nothing does."""
        deletions = tuple(deletion for deletion in self.deletions if deletion.overlaps(min_ns, max_ns))
        expires = self.retention is not None and min_ns < self.now_ns - self.retention.shortest_ns
        if not deletions and not expires:
            return None
        return HiddenRows(deletions, self.retention if expires else None, self.now_ns)

    def hides_all(self, labels: Labels, min_ns: int, max_ns: int) -> bool:
        """Whether it surely hides every entry of the stream between these times, both inclusive."""
        if self.retention is not None and max_ns < self.now_ns - self.retention.period_ns(labels):
            return True
        return any(
            deletion.takes_whole_streams
            and deletion.start_ns <= min_ns
            and max_ns < deletion.end_ns
            and deletion.accepts(labels)
            for deletion in self.deletions
        )

    def kept(self, batch: Batch) -> pl.DataFrame:
        """The rows of the batch that are not hidden, in their order. It has `columns`."""
        masks = list(self._masks(batch))
        if not masks:
            return batch.frame
        return batch.frame.filter(~reduce(lambda left, right: left | right, masks))

    def _masks(self, batch: Batch) -> Iterator[pl.Series]:
        """Which rows are hidden, reason by reason."""
        present = batch.frame[STREAM].unique()
        if self.retention is not None:
            periods = [self.retention.period_ns(batch.streams[number]) for number in present]
            oldest = pl.Series([clamped_ns(self.now_ns - period) for period in periods], dtype=pl.Int64)
            yield batch.frame[TIMESTAMP] < batch.frame[STREAM].replace_strict(present, oldest, return_dtype=pl.Int64)
        for deletion in self.deletions:
            accepted = [number for number in present if deletion.accepts(batch.streams[number])]
            if accepted:
                yield _selected(deletion, batch, accepted)


def _selected(deletion: Deletion, batch: Batch, accepted: list[int]) -> pl.Series:
    streams = pl.Series(accepted, dtype=pl.UInt32)
    condition = pl.col(STREAM).is_in(streams.implode()) & pl.col(TIMESTAMP).is_between(
        deletion.start_ns, deletion.end_ns, closed="left"
    )
    if deletion.predicate is not None:
        condition &= deletion.predicate
    mask = batch.frame.select(condition).to_series()
    if deletion.pipeline is None:
        return mask
    rows = mask.arg_true()
    chosen = batch.frame[rows].select(STREAM, TIMESTAMP, LINE, METADATA)
    passed = [
        deletion.pipeline.process(timestamp_ns, line, batch.streams[stream], parse_metadata(metadata)) is not None
        for stream, timestamp_ns, line, metadata in chosen.iter_rows()
    ]
    return mask.scatter(rows, passed)
