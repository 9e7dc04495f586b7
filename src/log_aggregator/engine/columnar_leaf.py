"""A range aggregation over batches of columns: equal to running its `Sampler` on every entry (`engine.leaf_plan`)."""

from collections.abc import Collection, Mapping, Sequence
from threading import Lock
from typing import Literal

import numpy as np
import polars as pl

from log_aggregator.engine.batch import Batch, Integers
from log_aggregator.engine.combinations import (
    FEW_COMBINATIONS,
    PLAIN_NUMBER,
    Combinations,
    LinesNeeded,
    Packed,
    numbered,
)
from log_aggregator.engine.conversions import Conversion, NotConvertible, to_seconds, to_size_bytes
from log_aggregator.engine.leaf_plan import LeafPlan
from log_aggregator.engine.partial import partial_result, renumbered, totals_of
from log_aggregator.engine.query_memory import SERIES_BYTES, QueryMemory
from log_aggregator.engine.shapes import Shape
from log_aggregator.engine.vector import Vector
from log_aggregator.engine.windows import SAMPLES_SCHEMA, SERIES, TIME, VALUE, Totals, Windows
from log_aggregator.formats.chunk import FIELD_PREFIX, LINE_BYTES, SHAPE
from log_aggregator.formats.metadata import parse_metadata
from log_aggregator.formats.partial_result import PartialResult
from log_aggregator.model.columns import constant
from log_aggregator.model.labels import Labels
from log_aggregator.model.segment import ARRIVAL, LINE, METADATA, STREAM, TIMESTAMP

ROW = "row"  # of a batch
_ORDERED = frozenset(("first_over_time", "last_over_time", "rate_counter"))
_ORDERED_SCHEMA = pl.Schema([*SAMPLES_SCHEMA.items(), (ARRIVAL, pl.Int64()), (ROW, pl.UInt32())])
_CONVERSIONS: Mapping[str, Conversion] = {
    "bytes": to_size_bytes,
    "duration": to_seconds,
    "duration_seconds": to_seconds,
}


class _Series:
    """Numbers series from 0. By itself, so that a leaf is freed when nothing uses it: it would be part of a circle."""

    def __init__(self, plan: LeafPlan, memory: QueryMemory) -> None:
        self._plan = plan
        self._memory = memory
        self._lock = Lock()
        self._numbers: dict[Labels, int] = {}

    @property
    def labels(self) -> list[Labels]:
        """In the order of their numbers."""
        return list(self._numbers)

    def of(self, stream: Labels, metadata: Mapping[str, str], fields: Mapping[str, str]) -> int | None:
        """Of an entry, if it counts. Asked for once for each combination, which is then known."""
        self._memory.hold("series", SERIES_BYTES)
        labels = self._plan.series(stream, metadata, fields)
        return None if labels is None else self.number(labels)

    def number(self, labels: Labels) -> int:
        with self._lock:
            number = self._numbers.get(labels)
            if number is None:
                self._memory.hold("series", SERIES_BYTES)
                number = self._numbers[labels] = len(self._numbers)
            return number


class ColumnarLeaf:
    """Collects batches, and what others have collected, in any order and from several threads; then `vectors`.

    What it collects is held in the memory of the windows.
    """

    def __init__(self, plan: LeafPlan, windows: Windows) -> None:
        self._plan = plan
        self._windows = windows
        self._memory = windows.memory
        self._series = _Series(plan, windows.memory)
        self._combinations = Combinations(plan.parser, plan.names, self._series.of)
        self._totals: list[Totals] = []
        self._samples: list[pl.DataFrame] = []

    def columns(
        self, available: Collection[str], shapes: Sequence[Shape] | None, streams: Sequence[Labels]
    ) -> set[str]:
        """What `add` wants of a batch with these columns and shapes, of these streams."""
        plan = self._plan
        wanted = {TIMESTAMP}
        if plan.mask is not None:
            wanted.add(LINE)
        if plan.counts_bytes:
            wanted.add(LINE_BYTES)
        if self._is_ordered:
            wanted.add(ARRIVAL)
        if plan.unwrap is not None:
            wanted.add(METADATA)  # which may have the label, too
        return wanted | self._combinations.columns(available, shapes, streams, self._unwrap)

    def forms(self, columns: Collection[str]) -> dict[str, Literal["codes", "numbers"]]:
        """What is only told apart, and what is calculated with."""
        forms: dict[str, Literal["codes", "numbers"]] = {
            name: "codes" for name in columns if name == METADATA or name.startswith(FIELD_PREFIX)
        }
        unwrap = self._plan.aggregation.range.unwrap
        if unwrap is not None:
            forms.pop(FIELD_PREFIX + unwrap.label, None)
            if not unwrap.conversion and FIELD_PREFIX + unwrap.label in columns:
                forms[FIELD_PREFIX + unwrap.label] = "numbers"
        return forms

    def everything(self, available: Collection[str]) -> set[str]:
        """What `add` can want at most."""
        plain = {STREAM, TIMESTAMP, ARRIVAL, LINE, METADATA, LINE_BYTES, SHAPE} & set(available)
        fields = {FIELD_PREFIX + name for name in self._plan.names or ()} | {FIELD_PREFIX + (self._plan.unwrap or "")}
        return plain | (fields & set(available))

    def add(self, batch: Batch) -> int:
        """How many rows of the windows passed the line filters. Raises LinesNeeded, PipelineFailed, QueryTooLarge."""
        masks = [mask for mask in (self._windows.mask, self._plan.mask) if mask is not None]
        frame = batch.frame.filter(*masks) if masks else batch.frame
        if frame.height:
            self._add(frame, batch)
        return frame.height

    def vectors(self) -> list[Vector]:
        """The vector of every step. Raises QueryTooLarge."""
        series = self._series.labels
        if self._windows.is_totalled:
            return self._windows.of_totals(series, Totals.joined(self._totals))
        samples = self._samples
        if self._is_ordered:
            ordered = pl.concat([pl.DataFrame(schema=_ORDERED_SCHEMA), *samples])
            samples = [ordered.sort(TIME, ARRIVAL, ROW, maintain_order=True).select(SAMPLES_SCHEMA.names())]
        return self._windows.of_samples(series, samples)

    def partial(self) -> PartialResult:
        """What was collected, for the `merge` of another leaf of the same plan and windows."""
        totals = self._windows.summed(Totals.joined(self._totals), len(self._series.labels))
        return partial_result(
            self._series.labels, totals, self._samples, _ORDERED_SCHEMA if self._is_ordered else SAMPLES_SCHEMA
        )

    def merge(self, partial: PartialResult) -> None:
        """As if all its batches had been added here."""
        numbers = np.array([self._series.number(labels) for labels in partial.series], np.int64)
        if partial.totals.height:
            self._keep_totals(totals_of(partial).of_series(numbers))
        if partial.samples.height:
            self._keep_samples(renumbered(partial.samples, numbers))

    # -- rows to series -------------------------------------------------------

    def _add(self, frame: pl.DataFrame, batch: Batch) -> None:
        plan = self._plan
        if self._is_ordered:
            frame = frame.with_row_index(ROW)
        if plan.parser is None and batch.runs is not None and self._windows.is_totalled:
            runs = _runs(frame, batch)
            answers = self._combinations.by_stream(batch.streams, {stream for stream, _ in runs})
            if answers is not None:
                lengths = [rows for _, rows in runs]
                totals = self._windows.totals_of_runs(lengths, frame[TIMESTAMP].to_numpy(), self._sizes(frame))
                self._keep_totals(totals.of_series(numbered(answers[stream] for stream, _ in runs)))
                return
        present = batch.present(frame)
        streams = list(present.values())
        reads = self._combinations.fields_read(streams, self._unwrap)
        easy, fields = self._combinations.fields(frame, batch.shapes, reads)
        if plan.unwrap is not None:
            value, convertible = self._unwrapped(frame, streams, fields)
            frame = frame.with_columns(value.alias(VALUE))
            easy = convertible if easy is None else easy & convertible
        others = {name: column for name, column in fields.items() if name != plan.unwrap}
        # What fields seem to be of rows that are not easy, or have no value, must not be looked at: it may fail.
        if easy is not None and not easy.all():
            self._add_rows(frame.filter(~easy), batch)
            frame, others = _filtered(frame, others, easy)
        if plan.unwrap is not None and frame[VALUE].null_count():
            frame, others = _filtered(frame, others, frame[VALUE].is_not_null())
        if not frame.height:
            return
        packed = self._combinations.packed(frame, present, others)
        if packed is None or not self._answered(frame, batch, packed):
            self._add_rows(frame, batch)

    def _answered(self, frame: pl.DataFrame, batch: Batch, packed: Packed) -> bool:
        """Whether there are few enough combinations to work out the series of each."""
        if not self._windows.is_totalled:
            extra = [ARRIVAL, ROW] if self._is_ordered else []
            samples = frame.select(pl.col(TIMESTAMP).alias(TIME), VALUE, *extra)
            series = self._combinations.answers(packed, packed.numbers, frame.height)
            if series is not None:
                counted = series >= 0
                if not counted.all():
                    samples, series = samples.filter(counted), series[counted]
                self._keep_samples(samples.insert_column(0, pl.Series(SERIES, series.astype(np.uint32))))
            return series is not None
        # Added up before it is looked up, which leaves little to look up.
        times = frame[TIMESTAMP].to_numpy()
        lengths = () if batch.runs is None else [rows for _, rows in _runs(frame, batch)]
        totals = self._windows.totals(packed.numbers, packed.size, times, self._sizes(frame), lengths)
        distinct, at = np.unique(totals.groups, return_inverse=True)
        series = self._combinations.answers(packed, distinct, frame.height)
        if series is not None:
            totals = Totals(at, *totals.columns[1:]).of_series(series)
            if len(totals) > FEW_COMBINATIONS:
                totals = self._windows.summed(totals, len(self._series.labels))
            self._keep_totals(totals)
        return series is not None

    def _sizes(self, frame: pl.DataFrame) -> Integers | None:
        return frame[LINE_BYTES].to_numpy() if self._plan.counts_bytes else None

    @property
    def _unwrap(self) -> tuple[str, ...]:
        return () if self._plan.unwrap is None else (self._plan.unwrap,)

    def _keep_totals(self, totals: Totals) -> None:
        # Once more, when all of them are put together.
        self._memory.hold("samples", 2 * totals.size_bytes)
        self._totals.append(totals)

    def _keep_samples(self, samples: pl.DataFrame) -> None:
        self._memory.hold("samples", 2 * int(samples.estimated_size()))
        self._samples.append(samples)

    def _unwrapped(
        self, frame: pl.DataFrame, streams: Sequence[Labels], fields: Mapping[str, pl.Series]
    ) -> tuple[pl.Series, pl.Series]:
        """The values, null where the label is missing or empty, and which of the rows are as they seem."""
        name, conversion = self._plan.unwrap, self._plan.aggregation.range.unwrap
        assert name is not None
        assert conversion is not None
        text = fields[name]
        if isinstance(text.dtype, pl.Enum):
            text = text.cast(pl.String)
        hidden = any(own == name for labels in streams for own, _ in labels)
        if hidden or (METADATA in frame.columns and _mentions(frame[METADATA], name)):
            unsure = constant(False, frame.height, pl.Boolean)
            return constant(None, frame.height, pl.Float64), unsure
        if text.dtype == pl.Float64:
            return text, constant(True, frame.height, pl.Boolean)
        missing = text.is_null() | (text == "")
        if not conversion.conversion:
            plain = text.str.contains(PLAIN_NUMBER)
            return text.cast(pl.Float64, strict=False), (missing | plain).fill_null(True)
        convert = _CONVERSIONS[conversion.conversion]
        converted = {value: _converted(convert, value) for value in text.unique() if value}
        if len(converted) > max(FEW_COMBINATIONS, frame.height // 2):
            return constant(None, frame.height, pl.Float64), missing
        values = text.replace_strict(converted, default=None, return_dtype=pl.Float64)
        return values, (missing | values.is_not_null()).fill_null(True)

    # -- row by row -----------------------------------------------------------

    def _add_rows(self, frame: pl.DataFrame, batch: Batch) -> None:
        """What the columns do not tell, by the stages themselves."""
        if LINE not in frame.columns or METADATA not in frame.columns or ARRIVAL not in frame.columns:
            raise LinesNeeded
        series, times, values, rows = [], [], [], []
        process = self._plan.sampler.process
        columns = frame.select(STREAM, TIMESTAMP, LINE, METADATA)
        for row, (stream, time_ns, line, metadata) in enumerate(columns.iter_rows()):
            sample = process(time_ns, line, batch.streams[stream], parse_metadata(metadata))
            if sample is not None:
                labels, value = sample
                series.append(self._series.number(labels))
                times.append(time_ns)
                values.append(value)
                rows.append(row)
        if self._windows.is_totalled:
            groups, at = np.array(series, np.int64), np.array(times, np.int64)
            sizes = np.array(values, np.int64) if self._plan.counts_bytes else None
            self._keep_totals(self._windows.totals(groups, len(self._series.labels), at, sizes))
            return
        samples = pl.DataFrame({SERIES: series, TIME: times, VALUE: values}, SAMPLES_SCHEMA)
        if self._is_ordered:
            samples = pl.concat([samples, frame[rows].select(ARRIVAL, ROW)], how="horizontal")
        self._keep_samples(samples)

    @property
    def _is_ordered(self) -> bool:
        return self._plan.aggregation.operation in _ORDERED


def _runs(frame: pl.DataFrame, batch: Batch) -> Sequence[tuple[int, int]]:
    """Stream and number of rows, where equal streams stand together; of some rows of a batch whose runs are known."""
    assert batch.runs is not None
    if frame.height == batch.frame.height:
        return batch.runs
    runs = frame[STREAM].rle().struct.unnest()
    return list(zip(runs["value"].to_list(), runs["len"].to_list(), strict=True))


def _filtered(
    frame: pl.DataFrame, columns: Mapping[str, pl.Series], mask: pl.Series
) -> tuple[pl.DataFrame, dict[str, pl.Series]]:
    return frame.filter(mask), {name: column.filter(mask) for name, column in columns.items()}


def _mentions(metadata: pl.Series, name: str) -> bool:
    if isinstance(metadata.dtype, pl.Enum):
        metadata = metadata.unique().cast(pl.String)
    # Within a value its quotes would be escaped.
    return bool(metadata.str.contains(f'"{name}":', literal=True).any())


def _converted(convert: Conversion, text: str) -> float | None:
    try:
        return convert(text)
    except NotConvertible:
        return None
