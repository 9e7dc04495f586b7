"""Range aggregations and log queries over a few entries, by the row-wise stages and by columns."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import polars as pl

from log_aggregator.engine import hard_lines
from log_aggregator.engine.batch import Batch
from log_aggregator.engine.columnar_leaf import ColumnarLeaf
from log_aggregator.engine.field_columns import choose_fields, field_columns
from log_aggregator.engine.label_columns import PLAIN_NUMBER
from log_aggregator.engine.label_reader import LinesNeeded
from log_aggregator.engine.leaf_plan import LeafPlan
from log_aggregator.engine.log_plan import plan_log
from log_aggregator.engine.log_rows import RowChooser
from log_aggregator.engine.order import Direction, in_order
from log_aggregator.engine.pipeline import Pipeline, Row, compile_pipeline
from log_aggregator.engine.pushdown import push_down
from log_aggregator.engine.range_vector import SeriesSamples, range_vectors
from log_aggregator.engine.samples import PipelineFailed, compile_sampler
from log_aggregator.engine.steps import Steps
from log_aggregator.engine.vector import Vector
from log_aggregator.engine.windows import Windows, in_windows
from log_aggregator.formats.chunk import FIELD_PREFIX, LINE_BYTES, SHAPE
from log_aggregator.formats.metadata import format_metadata, parse_metadata
from log_aggregator.logql.ast import LogExpr, RangeAggregation
from log_aggregator.logql.leaves import leaves_of
from log_aggregator.logql.parser import parse_expr
from log_aggregator.model.labels import Labels
from log_aggregator.model.segment import ARRIVAL, BATCH_SCHEMA, LINE, METADATA, STREAM, TIMESTAMP

# Tests have few lines, and columns are to be made of them all the same.
hard_lines.FEWEST_LINES_OF_TEXT = 0

Form = Literal["record", "chunk", "chunk with every field"]
FORMS: tuple[Form, ...] = ("record", "chunk", "chunk with every field")
STREAMS: tuple[Labels, ...] = (
    (("app", "shop"),),
    (("app", "shop"), ("env", "prod")),
    (("app", "web"), ("level", "info")),
    (("app", "web"), ("n", "5")),
    (("__kind__", "x"), ("app", "7"), ("level_extracted", "taken")),
)


@dataclass(frozen=True)
class Entry:
    """`stream` is a number of STREAMS."""

    stream: int
    timestamp_ns: int
    line: str
    metadata: Mapping[str, str] = field(default_factory=dict)


def leaf_of(query: str) -> RangeAggregation:
    """The one range aggregation of a query, as it is evaluated. Raises ParseError."""
    expr = parse_expr(query)
    assert not isinstance(expr, LogExpr)
    (leaf,) = leaves_of(push_down(expr))
    return leaf


def batches_of(records: Sequence[Sequence[Entry]], forms: Sequence[Form]) -> list[Batch]:
    """Each record as a write-ahead log has it, or flushed to a chunk with columns for some or all of its fields."""
    batches = []
    for number, (entries, form) in enumerate(zip(records, forms, strict=False)):
        frame = _record(number, entries)
        match form:
            case "record":
                batches.append(Batch(STREAMS, frame))
            case "chunk":
                batches.append(_chunk(frame, every_field=False))
            case "chunk with every field":
                batches.append(_chunk(frame, every_field=True))
    return batches


def _record(number: int, own: Sequence[Entry]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            STREAM: [entry.stream for entry in own],
            TIMESTAMP: [entry.timestamp_ns for entry in own],
            ARRIVAL: [number] * len(own),
            LINE: [entry.line for entry in own],
            METADATA: format_metadata([entry.metadata for entry in own]),
        },
        schema=BATCH_SCHEMA,
    ).with_columns(pl.col(LINE).str.len_bytes().alias(LINE_BYTES))


def _chunk(record: pl.DataFrame, *, every_field: bool) -> Batch:
    frame = record.sort(STREAM, TIMESTAMP, ARRIVAL, maintain_order=True)
    choice = choose_fields(frame[LINE])
    if every_field:
        every = {name for shape in choice.shapes for name in shape.names}
        choice = replace(choice, names=tuple(sorted(every)))
    columns = field_columns(frame[LINE], choice)
    if columns is None:
        return Batch(STREAMS, frame, None, _runs(frame))
    stored = [column.alias(FIELD_PREFIX + name) for name, column in columns.values.items()]
    return Batch(STREAMS, frame.with_columns(columns.shape.alias(SHAPE), *stored), choice.shapes, _runs(frame))


def _runs(frame: pl.DataFrame) -> tuple[tuple[int, int], ...]:
    return tuple(frame.group_by(STREAM, maintain_order=True).len().iter_rows())


def by_rows(leaf: RangeAggregation, batches: Sequence[Batch], times: Steps) -> list[Vector] | None:
    """None where the pipeline fails."""
    sampler = compile_sampler(leaf)
    samples: dict[Labels, SeriesSamples] = {}
    frame = pl.concat([batch.frame.select(BATCH_SCHEMA.names()) for batch in batches])
    held = in_windows(leaf, times)
    frame = frame if held is None else frame.filter(held)
    try:
        for stream, time_ns, _, line, text in frame.sort(TIMESTAMP, ARRIVAL, maintain_order=True).iter_rows():
            found = sampler.process(time_ns, line, STREAMS[stream], parse_metadata(text))
            if found is not None:
                own = samples.setdefault(found[0], SeriesSamples())
                own.times_ns.append(time_ns)
                own.values.append(found[1])
    except PipelineFailed:
        return None
    return range_vectors(leaf, samples, times)


def by_columns(plan: LeafPlan, batches: Sequence[Batch], times: Steps) -> list[Vector] | None:
    """None where the pipeline fails."""
    leaf = ColumnarLeaf(plan, Windows(plan.aggregation, times))
    try:
        for batch in batches:
            add_columns(leaf, batch)
    except PipelineFailed:
        return None
    return leaf.vectors()


def add_columns(leaf: ColumnarLeaf, batch: Batch) -> None:
    """With no more columns than it takes. Raises PipelineFailed."""
    available = batch.frame.columns
    streams = [batch.streams[number] for number in batch.frame[STREAM].unique()]
    try:
        wanted = leaf.columns(available, batch.shapes, streams)
        leaf.add(_with_columns(batch, wanted, leaf.forms(wanted)))
    except LinesNeeded:
        wanted = leaf.everything(available)
        leaf.add(_with_columns(batch, wanted, leaf.forms(wanted)))


def log_by_rows(expr: LogExpr, batches: Sequence[Batch], direction: Direction, limit: int) -> list[Row]:
    frames = [batch.frame.select(BATCH_SCHEMA.names()) for batch in batches]
    return _passing(frames, compile_pipeline(expr.stages), direction, limit)


def log_by_columns(expr: LogExpr, batches: Sequence[Batch], direction: Direction, limit: int) -> list[Row]:
    """As `services.log_query` does it: once more without a limit if rows that were cut are missed."""
    plan = plan_log(expr)
    chooser = RowChooser(plan, direction, limit)
    rows = _passing(_chosen(batches, chooser), plan.pipeline, direction, limit)
    if len(rows) < limit and chooser.has_cut:
        rows = _passing(_chosen(batches, RowChooser(plan, direction, None)), plan.pipeline, direction, limit)
    return rows


def _chosen(batches: Sequence[Batch], chooser: RowChooser) -> list[pl.DataFrame]:
    frames = []
    for batch in batches:
        streams = [batch.streams[number] for number in batch.frame[STREAM].unique()]
        wanted = chooser.columns(batch.frame.columns, batch.shapes, streams)
        frames.append(chooser.choose(_with_columns(batch, wanted, chooser.forms(wanted))))
    return frames


def _passing(frames: Sequence[pl.DataFrame], pipeline: Pipeline, direction: Direction, limit: int) -> list[Row]:
    rows: list[Row] = []
    for stream, time_ns, _, line, text in in_order(pl.concat(frames), STREAMS, direction).iter_rows():
        row = pipeline.process(time_ns, line, STREAMS[stream], parse_metadata(text))
        if row is not None:
            rows.append(row)
    return rows[:limit]


def _with_columns(batch: Batch, names: Collection[str], forms: Mapping[str, str]) -> Batch:
    """The batch with these columns alone; those of a chunk in the form that is asked for, if it can be."""
    frame = batch.frame.select(sorted(names))
    if batch.runs is not None:
        frame = frame.with_columns(_formed(frame[name], form) for name, form in forms.items())
    return replace(batch, frame=frame)


def _formed(column: pl.Series, form: str) -> pl.Series:
    # Either may come of what is few in a chunk, and many in another.
    if form == "codes" or (form == "codes or numbers" and column.n_unique() % 2):
        return column.cast(pl.Enum(column.unique().drop_nulls()))
    return column.cast(pl.Float64) if column.str.contains(PLAIN_NUMBER).all() else column


def assert_same(expected: list[Vector] | None, found: list[Vector] | None) -> None:
    if expected is None or found is None:
        assert expected == found
        return
    assert len(expected) == len(found)
    for number, (left, right) in enumerate(zip(expected, found, strict=True)):
        wanted, given_ = dict(left), dict(right)
        assert len(given_) == len(right), "a series stands twice"
        assert wanted.keys() == given_.keys(), number
        for labels, value in wanted.items():
            assert is_close(value, given_[labels]), (number, labels, value, given_[labels])


def is_close(left: float, right: float) -> bool:
    """Sums of the values here lose up to eight digits to cancellation."""
    return (math.isnan(left) and math.isnan(right)) or math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-9)
