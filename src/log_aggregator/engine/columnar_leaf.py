"""A range aggregation over batches of columns: equal to running its `Sampler` on every entry (`engine.leaf_plan`)."""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import polars as pl

from log_aggregator.engine.batch import Batch, Form, Integers
from log_aggregator.engine.combinations import FEW_COMBINATIONS, Combinations, common_names
from log_aggregator.engine.conversions import Conversion, NotConvertible, to_seconds, to_size_bytes
from log_aggregator.engine.label_columns import PLAIN_NUMBER, both, durations_seconds, either
from log_aggregator.engine.label_plan import fields_read, forms_of
from log_aggregator.engine.label_reader import LinesNeeded
from log_aggregator.engine.label_texts import labels_of_text, text_of
from log_aggregator.engine.leaf_plan import LeafPlan, OutlinedLeaf
from log_aggregator.engine.metadata_columns import mentions
from log_aggregator.engine.parser_chain import Findings
from log_aggregator.engine.parsers import labels_by_order
from log_aggregator.engine.partial import partial_result, renumbered, totals_of
from log_aggregator.engine.samples import PipelineFailed
from log_aggregator.engine.series_table import SeriesTable
from log_aggregator.engine.series_texts import presence, series_texts
from log_aggregator.engine.shapes import Shape
from log_aggregator.engine.vector import Vector
from log_aggregator.engine.window_columns import aggregated, vectors_of
from log_aggregator.engine.windows import SAMPLES_SCHEMA, SERIES, TIME, VALUE, Totals, Windows, WindowValues
from log_aggregator.formats.chunk import FIELD_PREFIX, LINE_BYTES, SHAPE
from log_aggregator.formats.metadata import parse_metadata
from log_aggregator.formats.partial_result import PartialResult
from log_aggregator.logql.ast import VectorAggregation
from log_aggregator.model.columns import bytes_in_memory, constant, order_of, told_apart
from log_aggregator.model.labels import Labels
from log_aggregator.model.segment import ARRIVAL, LINE, METADATA, STREAM, TIMESTAMP

ROW = "row"
"""The number of a row among those of its batch that are in a window and pass the line filters."""
# So many outlines are worked out sooner than filters are decided for the rows of a row group.
_FEW_OUTLINES = 256
_ORDERED = frozenset(("first_over_time", "last_over_time", "rate_counter"))
_ORDERED_SCHEMA = pl.Schema([*SAMPLES_SCHEMA.items(), (ARRIVAL, pl.Int64()), (ROW, pl.UInt32())])
_CONVERSIONS: Mapping[str, Conversion] = {
    "bytes": to_size_bytes,
    "duration": to_seconds,
    "duration_seconds": to_seconds,
}


@dataclass(frozen=True, slots=True)
class _Answers:
    """Of the stages that are left when some filters are decided."""

    outlined: OutlinedLeaf
    combinations: Combinations


class ColumnarLeaf:
    """Collects batches, and what others have collected, in any order and from several threads; then `vectors`.

    What it collects is held in the memory of the windows.
    """

    def __init__(self, plan: LeafPlan, windows: Windows) -> None:
        self._plan = plan
        self._windows = windows
        self._memory = windows.memory
        self._series = SeriesTable(windows.memory)
        self._answers: dict[tuple[frozenset[int], bool], _Answers | None] = {}
        self._totals: list[Totals] = []
        self._samples: list[pl.DataFrame] = []

    @property
    def parses(self) -> bool:
        """Whether it wants fields of lines."""
        return bool(self._plan.labels.chain.parsers)

    def columns(
        self, available: Collection[str], shapes: Sequence[Shape] | None, streams: Sequence[Labels]
    ) -> set[str]:
        """What `add` wants of a batch with these columns and shapes, of these streams."""
        plan = self._plan
        wanted = {STREAM, TIMESTAMP}
        if plan.labels.mask is not None:
            wanted.add(LINE)
        if plan.counts_bytes and plan.made is None:
            wanted.add(LINE_BYTES)
        if self._is_ordered:
            wanted.add(ARRIVAL)
        # The unwrapped label may be metadata, too; and what has failed keeps all its labels.
        names = None if plan.unwrap is not None or plan.may_show_errors else plan.names
        common = common_names(streams)
        if names is None or not names <= common:
            wanted.add(METADATA)
        reads = self._reads(common, available, shapes)
        if reads is None:
            wanted |= {LINE, ARRIVAL}  # for the row-wise stages
            reads = self._leading_reads(common)
        return wanted | plan.labels.chain.columns(available, shapes, reads)

    def forms(self, columns: Collection[str]) -> dict[str, Form]:
        """The forms in which `add` wants these columns."""
        plan = self._plan
        stored = plan.labels.chain.stored_columns
        behind = plan.names_behind_filters
        numeric = set() if behind is None else plan.labels.numeric_columns - stored(behind)
        if plan.made is not None:
            numeric -= stored(plan.made.names)
        unwrap = plan.aggregation.range.unwrap
        if unwrap is None:
            return forms_of(columns, numeric)
        unwrapped = stored((unwrap.label,))
        are_texts = not unwrapped.isdisjoint(stored(plan.labels.made_of))
        are_numbers = unwrapped <= plan.labels.numeric_columns or not unwrapped & stored(plan.labels.filter_names)
        if plan.labels.chain.is_single and not unwrap.conversion and are_numbers and not are_texts:
            return forms_of(columns, numeric | unwrapped)
        # Its texts are converted.
        return forms_of(set(columns) - unwrapped, numeric)

    def everything(self, available: Collection[str]) -> set[str]:
        """What `add` can want at most."""
        plain = {STREAM, TIMESTAMP, ARRIVAL, LINE, METADATA, LINE_BYTES, SHAPE} & set(available)
        if self._plan.names is None:
            return plain | {name for name in available if name.startswith(FIELD_PREFIX)}
        names = {*self._plan.names, *self._unwrap}
        return plain | (self._plan.labels.chain.stored_columns(names) & set(available))

    def add(self, batch: Batch) -> int:
        """How many rows of the windows passed the line filters. Raises LinesNeeded, PipelineFailed, QueryTooLarge."""
        masks = [mask for mask in (self._windows.mask, self._plan.labels.mask) if mask is not None]
        frame = batch.frame.filter(*masks) if masks else batch.frame
        if frame.height:
            self._add(frame, batch)
        return frame.height

    def vectors(self) -> list[Vector]:
        """The vector of every step, sorted by labels, so that what adds them up rounds alike. Raises QueryTooLarge."""
        texts, values = self._in_windows()
        series = list(map(labels_of_text, texts))
        return vectors_of(self._plan.aggregation, series, values, self._windows.steps, self._memory)

    def aggregated(self, expr: VectorAggregation) -> list[Vector]:
        """What the aggregation of `metric.aggregated_leaves` makes of the `vectors`. Raises QueryTooLarge."""
        texts, values = self._in_windows()
        return aggregated(expr, texts, values, self._windows.steps, self._memory)

    def _in_windows(self) -> tuple[pl.Series, Iterator[WindowValues]]:
        """The series, sorted, and what the windows hold of them."""
        texts = self._series.texts
        order = order_of(texts)
        ranks = np.argsort(order)
        texts = texts[order]
        if self._windows.is_totalled:
            return texts, self._windows.of_totals(len(texts), Totals.joined(self._totals).of_series(ranks))
        samples = self._samples
        if self._is_ordered:
            ordered = pl.concat([pl.DataFrame(schema=_ORDERED_SCHEMA), *samples])
            samples = [ordered.sort(TIME, ARRIVAL, ROW, maintain_order=True).select(SAMPLES_SCHEMA.names())]
        return texts, self._windows.of_samples(renumbered(one, ranks) for one in samples)

    def partial(self) -> PartialResult:
        """What was collected, for the `merge` of another leaf of the same plan and windows."""
        totals = self._windows.summed(Totals.joined(self._totals), len(self._series))
        schema = _ORDERED_SCHEMA if self._is_ordered else SAMPLES_SCHEMA
        return partial_result(self._series.labels, totals, self._samples, schema)

    def merge(self, partial: PartialResult) -> None:
        """As if all its batches had been added here."""
        numbers = self._series.numbers(list(map(text_of, partial.series)))
        if partial.totals.height:
            self._keep_totals(totals_of(partial).of_series(numbers))
        if partial.samples.height:
            self._keep_samples(renumbered(partial.samples, numbers))

    # -- rows to series -------------------------------------------------------

    def _add(self, frame: pl.DataFrame, batch: Batch) -> None:
        plan = self._plan
        if self._is_ordered:
            frame = frame.with_row_index(ROW)
        try:
            if self._add_runs(frame, batch):
                return
        except PipelineFailed:  # of which rows have the last word: what cannot be read back does not fail either
            self._add_rows(frame, batch)
            return
        present = batch.present(frame)
        streams = list(present.values())
        common = common_names(streams)
        reads = self._reads(common, frame.columns, batch.shapes)
        names = self._leading_reads(common) if reads is None else reads
        are_all = reads is not None and plan.names is None
        read = plan.labels.read(frame, batch.shapes, present, names, are_all_names=are_all)
        if read is None:
            return
        frame, found = read
        labels = plan.labels.chain.labels(frame, present, found)
        has_filters = bool(plan.labels.leading.numbers) and (reads is None or not _are_few_outlines(frame, found))
        judgement = plan.labels.judge(labels, frame.height, found, has_filters=has_filters)
        made = dict(judgement.made)
        # About which rows only the row-wise stages tell (None: about none), and which may count (None: all).
        unsure, counted = judgement.unsure, judgement.passes
        if plan.unwrap is not None:
            if plan.unwrapped_made is not None:
                value, convertible = self._converted(made.pop(plan.unwrapped_made.key))
            else:
                value, convertible = self._unwrapped(frame, streams, found.labels(len(found.parts)))
            frame = frame.with_columns(value.alias(VALUE))
            unsure = either(unsure, ~convertible)
        answers = None
        if reads is not None:
            answers = self._answers_without(judgement.decided, may_fail=found.may_fail)
        if answers is not None and (
            (answers.outlined.early if found.names is None else answers.outlined.early & found.names)
            or any(_may_be_hidden(name, frame, streams) for name in labels_by_order(plan.labels.chain.parsers))
        ):
            answers = None
        if answers is not None and plan.made is not None:
            line = plan.made.column(labels, frame.height)
            if line is None:
                answers = None
            else:
                frame = frame.with_columns(line.str.len_bytes().alias(LINE_BYTES))
        if answers is None:
            unsure = constant(True, frame.height, pl.Boolean)
        if found.easy is not None:
            # What filters make of rows that are not easy is no answer.
            unsure = either(unsure, ~found.easy)
            counted = None if counted is None else counted | ~found.easy
        if unsure is not None and unsure.any():
            self._add_rows(frame.filter(both(counted, unsure)), batch)
            counted = both(counted, ~unsure)
        if plan.unwrap is not None and frame[VALUE].null_count():
            counted = both(counted, frame[VALUE].is_not_null())
        if answers is not None:
            fields = {**self._telling_fields(answers.outlined, found, common), **made}
            try:
                self._add_counted(frame, batch, answers, present, fields, counted)
            except PipelineFailed:
                self._add_rows(frame if counted is None else frame.filter(counted), batch)

    def _add_runs(self, frame: pl.DataFrame, batch: Batch) -> bool:
        """Adds the rows stream by stream, if their series follow from the streams alone. Whether it has done so."""
        if self._plan.labels.chain.parsers or batch.runs is None or not self._windows.is_totalled or self._plan.made:
            return False
        runs = _runs(frame, batch)
        answers = self._answers_without(frozenset(), may_fail=False)
        present = {stream for stream, _ in runs}
        series = None if answers is None else answers.combinations.by_stream(batch.streams, present)
        if series is None:
            return False
        lengths = [rows for _, rows in runs]
        totals = self._windows.totals_of_runs(lengths, frame[TIMESTAMP].to_numpy(), self._sizes(frame))
        self._keep_totals(totals.of_series(np.array([series[stream] for stream, _ in runs], np.int64)))
        return True

    def _telling_fields(
        self, outlined: OutlinedLeaf, found: Findings, common: Collection[str]
    ) -> Mapping[str, pl.Series]:
        """The fields that tell one series from another, and how lines are read."""
        reads = None if outlined.fields is None else set(fields_read(outlined.fields, common))

        def telling(name: str, column: pl.Series) -> pl.Series | None:
            if name in outlined.presence_only:
                return presence(column)
            return column if name not in self._unwrap and (reads is None or name in reads) else None

        return found.fields(telling)

    def _add_counted(
        self,
        frame: pl.DataFrame,
        batch: Batch,
        answers: _Answers,
        present: Mapping[int, Labels],
        fields: Mapping[str, pl.Series],
        counted: pl.Series | None,
    ) -> None:
        """Rows of these streams and fields, or those of them that are counted: by combinations, if it can be."""
        combinations, outlined = answers.combinations, answers.outlined
        marked = None
        if counted is not None and not counted.all():
            # To take the others out takes longer than to number them as such, where numbers are all that is made.
            are_few = all(isinstance(column.dtype, pl.Enum) for column in fields.values())
            if self._windows.is_totalled and are_few and not outlined.is_of_all:
                marked = counted
            else:
                frame, fields = frame.filter(counted), {name: one.filter(counted) for name, one in fields.items()}
        if not frame.height:
            return
        if outlined.is_of_all or (outlined.is_direct and any(map(_has_many_values, fields.values()))):
            texts = series_texts(outlined, combinations, frame, present, fields)
            if texts is not None:
                self._add_texts(frame, batch, texts)
                return
        packed = combinations.packed(frame, present, fields)
        if packed is None:
            self._add_rows(frame if marked is None else frame.filter(marked), batch)
        else:
            packed = packed if marked is None else packed.only(marked.to_numpy())
            self._add_numbered(frame, batch, packed.numbers, packed.size, partial(combinations.answers, packed))

    def _add_texts(self, frame: pl.DataFrame, batch: Batch, texts: pl.Series) -> None:
        """Rows whose series have these texts; null where they do not count."""
        values, places = told_apart(texts)
        series = np.append(self._series.numbers(values[:-1].to_list()), -1)
        self._add_numbered(frame, batch, places.to_numpy(), len(series), series.__getitem__)

    def _add_numbered(
        self,
        frame: pl.DataFrame,
        batch: Batch,
        numbers: Integers,
        size: int,
        series_of: Callable[[Integers], Integers],
    ) -> None:
        """Rows by numbers below `size`, which tell the series, negative where they do not count."""
        if not self._windows.is_totalled:
            extra = [ARRIVAL, ROW] if self._is_ordered else []
            samples = pl.DataFrame([frame[TIMESTAMP].alias(TIME), *(frame[name] for name in (VALUE, *extra))])
            series = series_of(numbers)
            counted = series >= 0
            if not counted.all():
                samples, series = samples.filter(counted), series[counted]
            self._keep_samples(samples.insert_column(0, pl.Series(SERIES, series.astype(np.uint32))))
            return
        # Added up before it is looked up, which leaves little to look up.
        times = frame[TIMESTAMP].to_numpy()
        lengths = () if batch.runs is None else [rows for _, rows in _runs(frame, batch)]
        totals = self._windows.totals(numbers, size, times, self._sizes(frame), lengths)
        distinct, at = np.unique(totals.groups, return_inverse=True)
        totals = Totals(at, *totals.columns[1:]).of_series(series_of(distinct))
        if len(totals) > FEW_COMBINATIONS:
            totals = self._windows.summed(totals, len(self._series))
        self._keep_totals(totals)

    def _answers_without(self, decided: frozenset[int], *, may_fail: bool) -> _Answers | None:
        """As `LeafPlan.outlined`."""
        key = decided, may_fail
        if key not in self._answers:
            outlined = self._plan.outlined(decided, may_fail=may_fail)
            if outlined is None:
                self._answers[key] = None
            else:
                answer = partial(self._series.of, outlined)
                combinations = Combinations(outlined.names, answer, self._memory, is_cheap=outlined.is_direct)
                self._answers[key] = _Answers(outlined, combinations)
        return self._answers[key]

    def _reads(
        self, common: Collection[str], available: Collection[str], shapes: Sequence[Shape] | None
    ) -> list[str] | None:
        """The fields that all stages and the series depend on where streams have these labels in common.

        None if these are all that a parser finds, and with them it would take longer than to parse lines.
        """
        if self._plan.names is not None:
            return fields_read(self._plan.names, common, self._unwrap)
        every = self._plan.labels.chain.all_names(available, shapes, are_stored=not self._plan.is_direct)
        return None if every is None else sorted({*every, *self._leading_reads(common)})

    def _leading_reads(self, common: Collection[str]) -> list[str]:
        """Those that the leading filters depend on, and the one that is unwrapped."""
        return fields_read(self._plan.labels.filter_names, common, self._unwrap)

    def _sizes(self, frame: pl.DataFrame) -> Integers | None:
        return frame[LINE_BYTES].to_numpy() if self._plan.counts_bytes else None

    @property
    def _unwrap(self) -> tuple[str, ...]:
        """The field that is unwrapped."""
        return () if self._plan.unwrap is None or self._plan.unwrapped_made else (self._plan.unwrap,)

    def _keep_totals(self, totals: Totals) -> None:
        # Once more, when all of them are put together.
        self._memory.hold("samples", 2 * totals.size_bytes)
        self._totals.append(totals)

    def _keep_samples(self, samples: pl.DataFrame) -> None:
        self._memory.hold("samples", 2 * bytes_in_memory(samples))
        self._samples.append(samples)

    def _unwrapped(
        self, frame: pl.DataFrame, streams: Sequence[Labels], fields: Mapping[str, pl.Series]
    ) -> tuple[pl.Series, pl.Series]:
        """The values, null where the label is missing or empty, and of which rows that is sure."""
        assert self._plan.unwrap is not None
        if _may_be_hidden(self._plan.unwrap, frame, streams):
            return constant(None, frame.height, pl.Float64), constant(False, frame.height, pl.Boolean)
        return self._converted(fields[self._plan.unwrap])

    def _converted(self, column: pl.Series) -> tuple[pl.Series, pl.Series]:
        """The same of a column of the label."""
        conversion = self._plan.aggregation.range.unwrap
        assert conversion is not None
        if column.dtype == pl.Float64:
            return column, constant(True, len(column), pl.Boolean)
        if isinstance(column.dtype, pl.Enum):
            texts, places = told_apart(column)
            values, are_sure = _numbers(texts, conversion.conversion)
            return values.gather(places), are_sure.gather(places)
        return _numbers(column, conversion.conversion)

    # -- row by row -----------------------------------------------------------

    def _add_rows(self, frame: pl.DataFrame, batch: Batch) -> None:
        """What the columns do not tell, by the stages themselves."""
        if LINE not in frame.columns or METADATA not in frame.columns or ARRIVAL not in frame.columns:
            raise LinesNeeded
        texts, times, values, rows = [], [], [], []
        process = self._plan.sampler.process
        columns = frame.select(STREAM, TIMESTAMP, LINE, METADATA)
        for row, (stream, time_ns, line, metadata) in enumerate(columns.iter_rows()):
            sample = process(time_ns, line, batch.streams[stream], parse_metadata(metadata))
            if sample is not None:
                labels, value = sample
                texts.append(text_of(labels))
                times.append(time_ns)
                values.append(value)
                rows.append(row)
        series = self._series.numbers(texts)
        if self._windows.is_totalled:
            sizes = np.array(values, np.int64) if self._plan.counts_bytes else None
            self._keep_totals(self._windows.totals(series, len(self._series), np.array(times, np.int64), sizes))
            return
        samples = pl.DataFrame({SERIES: series, TIME: times, VALUE: values}, SAMPLES_SCHEMA)
        if self._is_ordered:
            samples = pl.concat([samples, frame[rows].select(ARRIVAL, ROW)], how="horizontal")
        self._keep_samples(samples)

    @property
    def _is_ordered(self) -> bool:
        return self._plan.aggregation.operation in _ORDERED


def _may_be_hidden(name: str, frame: pl.DataFrame, streams: Sequence[Labels]) -> bool:
    """Whether a label of these streams, or of the metadata if it was wanted, may hide a field of the name."""
    return any(own == name for labels in streams for own, _ in labels) or (
        METADATA in frame.columns and mentions(frame[METADATA], name)
    )


def _has_many_values(column: pl.Series) -> bool:
    return column.dtype == pl.String and column.null_count() < len(column)


def _are_few_outlines(frame: pl.DataFrame, found: Findings) -> bool:
    """Whether the rows of a stream surely have few combinations of fields and metadata."""
    if len(found.parts) > 1:
        return False  # outlines do not have lines that filters between parsers are of
    columns = [*found.parts[0].values.values(), *([frame[METADATA]] if METADATA in frame.columns else [])]
    dtypes = [one.dtype for one in columns]
    sizes = [len(one.categories) + 1 if isinstance(one, pl.Enum) else math.inf for one in dtypes]
    return math.prod(sizes) <= _FEW_OUTLINES


def _runs(frame: pl.DataFrame, batch: Batch) -> Sequence[tuple[int, int]]:
    """Stream and number of rows, where equal streams stand together; of some rows of a batch whose runs are known."""
    assert batch.runs is not None
    if frame.height == batch.frame.height:
        return batch.runs
    runs = frame[STREAM].rle().struct.unnest()
    return list(zip(runs["value"].to_list(), runs["len"].to_list(), strict=True))


def _numbers(texts: pl.Series, conversion: str) -> tuple[pl.Series, pl.Series]:
    """As `ColumnarLeaf._unwrapped`, of values of the label."""
    missing = texts.is_null() | (texts == "")
    if not conversion:
        plain = texts.str.contains(PLAIN_NUMBER)
        return texts.cast(pl.Float64, strict=False), (missing | plain).fill_null(True)
    values = constant(None, len(texts), pl.Float64) if conversion == "bytes" else durations_seconds(texts)
    unusual = texts.filter(values.is_null() & ~missing).unique()
    if len(unusual):
        converted = {value: _converted(_CONVERSIONS[conversion], value) for value in unusual}
        others = texts.replace_strict(converted, default=None, return_dtype=pl.Float64)
        values = values.zip_with(values.is_not_null(), others)
    return values, (missing | values.is_not_null()).fill_null(True)


def _converted(convert: Conversion, text: str) -> float | None:
    try:
        return convert(text)
    except NotConvertible:
        return None
