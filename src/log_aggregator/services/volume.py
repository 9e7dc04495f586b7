"""How many bytes of logs each set of labels, or each label, has in a range and in its steps.

Counted from extents: what lies across the end of a step is shared out as if its rows were spread evenly over its time.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import polars as pl

from log_aggregator.engine.label_table import VALUE, LabelTable
from log_aggregator.errors import ErrorCode, LogAggregatorError
from log_aggregator.formats.chunk import MAX, MIN, TEXT_BYTES
from log_aggregator.logql.ast import Matcher
from log_aggregator.model.labels import Labels
from log_aggregator.model.segment import STREAM, clamped_ns
from log_aggregator.services.extents import Extents, bounds_between, share_between

AggregateBy = Literal["series", "labels"]

_GROUP, _BYTES, _STEP, _CHANGE = "group", "bytes", "step", "change"
_BEGIN, _END, _FIRST, _LAST, _DENSITY = "begin_ns", "end_ns", "first_step", "last_step", "bytes_per_ns"


class TooManyVolumes(LogAggregatorError):
    """More groups than `volume_max_series` allows."""

    code: ClassVar[ErrorCode] = ErrorCode.INVALID

    def __init__(self, limit: int) -> None:
        super().__init__(f"the query hit the max number of series limit (limit: {limit} series)")


@dataclass(frozen=True, slots=True)
class VolumeQuery:
    """Bytes of the streams that the selector accepts.

    Streams have all of the target labels that the selector does not name. By `series`, they are grouped by those of
    these that they have; without target labels, by those of the labels in the selector, or by all their labels where
    the selector is empty. By `labels`, a stream counts for each of its labels, or of its target labels. The `limit`
    largest groups are wanted.
    """

    start_ns: int
    end_ns: int  # exclusive
    selector: Sequence[Matcher]
    target_labels: Sequence[str]
    aggregate_by: AggregateBy
    limit: int
    max_series: int


@dataclass(frozen=True, slots=True)
class Volume:
    """By labels, `labels` is the label's name with an empty value."""

    labels: Labels
    text_bytes: int


@dataclass(frozen=True, slots=True)
class SteppedVolume:
    """`steps` are pairs of a step's number, from 0, and its bytes; steps without any are left out."""

    labels: Labels
    steps: list[tuple[int, int]] = field(repr=False)


def total_volumes(extents: Extents, query: VolumeQuery) -> list[Volume]:
    """The largest first. Raises TooManyVolumes."""
    grouped = _Grouped(extents, query)
    return [Volume(grouped.labels[group], round(text_bytes)) for group, text_bytes in grouped.largest.iter_rows()]


def stepped_volumes(extents: Extents, query: VolumeQuery, step_ns: int) -> list[SteppedVolume]:
    """The largest first. Steps end at the multiples of `step_ns`, the last one at the end of the range.

    Raises TooManyVolumes.
    """
    grouped = _Grouped(extents, query)
    steps: dict[int, list[tuple[int, int]]] = {group: [] for group in grouped.largest[_GROUP]}
    wanted = grouped.frame.filter(pl.col(_GROUP).is_in(grouped.largest[_GROUP].implode()))
    for group, step, text_bytes in _by_step(wanted, query, step_ns).iter_rows():
        if round(text_bytes):
            steps[group].append((step, round(text_bytes)))
    return [SteppedVolume(grouped.labels[group], found) for group, found in steps.items()]


def volumes_together(parts: Iterable[Sequence[Volume]], limit: int) -> list[Volume]:
    """The largest of groups, equal ones of which have been counted apart."""
    sums: Counter[Labels] = Counter()
    for part in parts:
        for one in part:
            sums[one.labels] += one.text_bytes
    return [Volume(labels, sums[labels]) for labels in _largest(sums, limit)]


def steps_together(parts: Iterable[Sequence[SteppedVolume]], limit: int) -> list[SteppedVolume]:
    """The same of their steps."""
    steps: dict[Labels, Counter[int]] = {}
    for part in parts:
        for one in part:
            steps.setdefault(one.labels, Counter()).update(dict(one.steps))
    largest = _largest({labels: own.total() for labels, own in steps.items()}, limit)
    return [SteppedVolume(labels, sorted(steps[labels].items())) for labels in largest]


def _largest(sizes: Mapping[Labels, int], limit: int) -> list[Labels]:
    return sorted(sizes, key=lambda labels: (-sizes[labels], str(labels)))[:limit]


class _Grouped:
    """The extents with the group of each, the groups' labels, and which groups are the largest."""

    def __init__(self, extents: Extents, query: VolumeQuery) -> None:
        table = extents.table
        present = table.present(extents.frame[STREAM]) & table.accepted(query.selector)
        streams = pl.DataFrame(present.arg_true().cast(pl.UInt32).alias(STREAM))
        named = {matcher.name for matcher in query.selector}
        for name in query.target_labels:
            if name not in named:
                streams = streams.join(table.column(name).select(STREAM), on=STREAM, how="semi")
        if query.aggregate_by == "labels":
            self.labels, groups = _by_label(table, streams, query.target_labels or table.names)
        elif query.target_labels:
            self.labels, groups = _by_values(table, streams, query.target_labels)
        elif named:
            self.labels, groups = _by_values(table, streams, sorted(named))
        else:
            self.labels = table.streams(streams[STREAM])
            groups = streams.with_row_index(_GROUP)
        if len(self.labels) > query.max_series:
            raise TooManyVolumes(query.max_series)
        self.frame = extents.frame.join(groups, on=STREAM)
        share = share_between(query.start_ns, query.end_ns)
        sums = self.frame.group_by(_GROUP).agg((pl.col(TEXT_BYTES) * share).sum().alias(_BYTES))
        texts = pl.Series(VALUE, [str(labels) for labels in self.labels], dtype=pl.String)  # where sizes are equal
        ranked = sums.with_columns(texts.gather(sums[_GROUP]))
        self.largest = ranked.sort(_BYTES, VALUE, descending=[True, False]).head(query.limit).select(_GROUP, _BYTES)


def _by_label(table: LabelTable, streams: pl.DataFrame, names: Iterable[str]) -> tuple[list[Labels], pl.DataFrame]:
    """Groups named by one label each; a stream is in several."""
    labels: list[Labels] = []
    members = [pl.DataFrame(schema={STREAM: pl.UInt32, _GROUP: pl.UInt32})]
    for name in names:
        having = streams.join(table.column(name).select(STREAM), on=STREAM)
        if having.height:
            members.append(having.with_columns(pl.lit(len(labels), pl.UInt32).alias(_GROUP)))
            labels.append(((name, ""),))
    return labels, pl.concat(members)


def _by_values(table: LabelTable, streams: pl.DataFrame, names: Sequence[str]) -> tuple[list[Labels], pl.DataFrame]:
    """Groups of equal values of those of the named labels that a stream has."""
    for name in names:
        column = table.column(name).rename({VALUE: f"={name}"})
        streams = streams.join(column, on=STREAM, how="left")
    values = [f"={name}" for name in names]
    groups = streams.unique(values, maintain_order=True).select(values).with_row_index(_GROUP)
    labels = [
        tuple((name, value) for name, value in zip(names, row[1:], strict=True) if value is not None)
        for row in groups.iter_rows()
    ]
    return labels, streams.join(groups, on=values, nulls_equal=True).select(STREAM, _GROUP)


def _by_step(frame: pl.DataFrame, query: VolumeQuery, step_ns: int) -> pl.DataFrame:
    """The bytes of each group and step.

    An extent gives a part to the step where it begins and one to the step where it ends. The steps between get the same
    each, noted as a change where they begin and as its opposite where they end, so that no extent is copied for each.
    """
    first, last = query.start_ns // step_ns, (query.end_ns - 1) // step_ns
    begin, end = bounds_between(clamped_ns(query.start_ns), clamped_ns(query.end_ns))
    spread = frame.select(
        _GROUP,
        begin.alias(_BEGIN),
        end.alias(_END),
        (begin // step_ns).alias(_FIRST),
        ((end - 1) // step_ns).alias(_LAST),
        (pl.col(TEXT_BYTES) / (pl.col(MAX) + 1 - pl.col(MIN))).alias(_DENSITY),
    )
    several = spread.filter(pl.col(_LAST) > pl.col(_FIRST))
    head_ns = pl.min_horizontal(pl.col(_END), (pl.col(_FIRST) + 1) * step_ns) - pl.col(_BEGIN)
    tail_ns = pl.col(_END) - pl.col(_LAST) * step_ns
    noted = pl.concat(
        [
            _note(spread, pl.col(_FIRST), head_ns, 0),
            _note(several, pl.col(_FIRST) + 1, 0, step_ns),
            _note(several, pl.col(_LAST), tail_ns, -step_ns),
        ]
    )
    sums = noted.group_by(_GROUP, _STEP).agg(pl.col(_BYTES, _CHANGE).sum())
    steps = pl.DataFrame({_STEP: range(first, last + 1)}, schema={_STEP: pl.Int64})
    every = frame.select(_GROUP).unique().join(steps, how="cross").join(sums, on=[_GROUP, _STEP], how="left")
    between = pl.col(_CHANGE).fill_null(0.0).cum_sum().over(_GROUP, order_by=_STEP)
    total = pl.col(_BYTES).fill_null(0.0) + between
    return every.select(_GROUP, pl.col(_STEP) - first, total.alias(_BYTES)).sort(_GROUP, _STEP)


def _note(frame: pl.DataFrame, step: pl.Expr, part_ns: pl.Expr | int, change_ns: int) -> pl.DataFrame:
    """What extents give to a step alone, and by how much they change it and all that follow."""
    density = pl.col(_DENSITY)
    return frame.select(
        _GROUP, step.alias(_STEP), (density * part_ns).alias(_BYTES), (density * change_ns).alias(_CHANGE)
    )
