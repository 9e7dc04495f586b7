"""A range aggregation over batches of columns: equal to running its `Sampler` on every entry (`engine.leaf_plan`)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

import polars as pl

from log_aggregator.engine.batch import Batch
from log_aggregator.engine.conversions import Conversion, NotConvertible, to_seconds, to_size_bytes
from log_aggregator.engine.fields import extract, shapes_of
from log_aggregator.engine.leaf_plan import LeafPlan, fields_read
from log_aggregator.engine.pattern_columns import pattern_columns
from log_aggregator.engine.shapes import Parser, Shape
from log_aggregator.engine.vector import Vector
from log_aggregator.engine.windows import COUNT, COUNTED_SCHEMA, SAMPLES_SCHEMA, SERIES, STEP, TIME, VALUE, Windows
from log_aggregator.formats.chunk import FIELD_PREFIX, LINE_BYTES, SHAPE
from log_aggregator.formats.metadata import parse_metadata
from log_aggregator.logql import ast
from log_aggregator.model.labels import Labels
from log_aggregator.model.segment import ARRIVAL, LINE, METADATA, STREAM, TIMESTAMP

# The row-wise stages are run on combinations of labels up to this many, or this share of the rows.
_FEW_COMBINATIONS = 2000
_COMBINATION_SHARE = 0.2
# Numbers that are surely read the same by everybody.
_PLAIN_NUMBER = r"^-?[0-9]{1,15}(?:\.[0-9]{1,15})?$"
_ORDERED = frozenset(("first_over_time", "last_over_time", "rate_counter"))
_CONVERSIONS: Mapping[str, Conversion] = {
    "bytes": to_size_bytes,
    "duration": to_seconds,
    "duration_seconds": to_seconds,
}
_DENSE = 1 << 20


class LinesNeeded(Exception):
    """The batch has rows that only their text can tell about. Load it again with `ALL_COLUMNS`."""


@dataclass(frozen=True, slots=True)
class _Codes:
    """A column as numbers of its distinct values."""

    numbers: pl.Series
    values: Sequence[object]


class ColumnarLeaf:
    """Collects batches, in any order and from several threads; then `vectors`."""

    def __init__(self, plan: LeafPlan, windows: Windows) -> None:
        self._plan = plan
        self._windows = windows
        self._lock = Lock()
        self._series: dict[Labels, int] = {}
        self._known: dict[tuple[Labels, Labels, Labels], int | None] = {}
        self._totals: list[pl.DataFrame] = []
        self._counted: list[pl.DataFrame] = []
        self._samples: list[pl.DataFrame] = []

    def columns(
        self, available: Collection[str], shapes: Sequence[Shape] | None, streams: Sequence[Labels]
    ) -> set[str]:
        """What `add` wants of a batch with these columns and shapes, of these streams."""
        plan = self._plan
        wanted = {STREAM, TIMESTAMP}
        if plan.mask is not None:
            wanted.add(LINE)
        if plan.counts_bytes:
            wanted.add(LINE_BYTES)
        if plan.aggregation.operation in _ORDERED:
            wanted.add(ARRIVAL)
        common = _common_names(streams)
        if plan.names is None or not plan.names <= common:
            wanted.add(METADATA)
        if isinstance(plan.parser, ast.JsonStage | ast.LogfmtStage) and shapes is not None:
            wanted.add(SHAPE)
            for name in self._reads(common):
                if FIELD_PREFIX + name in available:
                    wanted.add(FIELD_PREFIX + name)
                elif any(name in shape.names for shape in _of_parser(shapes, plan.parser)):
                    wanted.add(LINE)
        elif plan.parser is not None:
            wanted.add(LINE)
        return wanted

    def everything(self, available: Collection[str]) -> set[str]:
        """What `add` can want at most."""
        plain = {STREAM, TIMESTAMP, ARRIVAL, LINE, METADATA, LINE_BYTES, SHAPE} & set(available)
        fields = {FIELD_PREFIX + name for name in self._plan.names or ()} | {FIELD_PREFIX + (self._plan.unwrap or "")}
        return plain | (fields & set(available))

    def add(self, batch: Batch) -> int:
        """How many rows passed the line filters. Raises LinesNeeded, PipelineFailed."""
        frame = batch.frame if self._plan.mask is None else batch.frame.filter(self._plan.mask)
        if frame.height:
            self._add(frame, batch)
        return frame.height

    def vectors(self) -> list[Vector]:
        """The vector of every step."""
        series = list(self._series)
        if self._windows.is_totalled:
            return self._windows.of_totals(series, self._totals, self._counted)
        samples = self._samples
        if self._plan.aggregation.operation in _ORDERED:
            ordered = pl.concat([pl.DataFrame(schema={**SAMPLES_SCHEMA, ARRIVAL: pl.Int64}), *samples])
            samples = [ordered.sort(TIME, ARRIVAL, maintain_order=True).select(SAMPLES_SCHEMA.names())]
        return self._windows.of_samples(series, samples)

    # -- rows to series -------------------------------------------------------

    def _add(self, frame: pl.DataFrame, batch: Batch) -> None:
        plan = self._plan
        numbers = frame[STREAM].unique()
        present = {number: batch.streams[number] for number in numbers}
        common = _common_names(list(present.values()))
        reads = self._reads(common)
        easy: pl.Series | None = None
        fields: Mapping[str, pl.Series] = {}
        if plan.parser is not None:
            easy, fields = self._fields(frame, batch.shapes, reads)
        if plan.unwrap is not None:
            value, convertible = self._unwrapped(frame, present, fields)
            frame = frame.with_columns(value.alias(VALUE))
            easy = convertible if easy is None else easy & convertible
        combined = self._combined(frame, present, common, {name: fields[name] for name in reads if name != plan.unwrap})
        if combined is None:
            self._add_rows(frame, batch)
            return
        frame = frame.with_columns(combined.alias(SERIES))
        if easy is not None and not easy.all():
            self._add_rows(frame.filter(~easy), batch)
            frame = frame.filter(easy)
        if combined.null_count():
            frame = frame.filter(pl.col(SERIES).is_not_null())
        if plan.unwrap is not None:
            frame = frame.filter(pl.col(VALUE).is_not_null())
        if frame.height:
            self._collect(frame, is_run=batch.is_sorted)

    def _reads(self, common: Collection[str]) -> list[str]:
        reads = fields_read(self._plan, common)
        unwrap = self._plan.unwrap
        return reads if unwrap is None or unwrap in reads else [*reads, unwrap]

    def _fields(
        self, frame: pl.DataFrame, shapes: Sequence[Shape] | None, reads: Sequence[str]
    ) -> tuple[pl.Series | None, Mapping[str, pl.Series]]:
        """Which rows' fields are surely these."""
        parser = self._plan.parser
        if isinstance(parser, ast.PatternStage):
            return None, pattern_columns(parser.pattern, _lines(frame), reads)
        assert parser is not None
        if shapes is None:
            kind = _parser_name(parser)
            found = extract(_lines(frame), shapes_of(_lines(frame), kind), reads)
            return found.shape > 0, found.values
        values = {name: frame[FIELD_PREFIX + name] for name in reads if FIELD_PREFIX + name in frame.columns}
        rest = [name for name in reads if name not in values]
        own = _of_parser(shapes, parser)
        if any(name in shape.names for shape in own for name in rest):
            values = {**values, **extract(_lines(frame), own, rest).values}
        for name in rest:
            if name not in values:
                values[name] = pl.repeat(None, frame.height, dtype=pl.String, eager=True)
        mine = [number for number, shape in enumerate(shapes, 1) if shape in own]
        numbers = frame[SHAPE]
        low, high = numbers.min(), numbers.max()
        if low == high:
            return (None if low in mine else pl.repeat(False, frame.height, dtype=pl.Boolean, eager=True)), values
        return numbers.is_in(mine), values

    def _unwrapped(
        self, frame: pl.DataFrame, present: Mapping[int, Labels], fields: Mapping[str, pl.Series]
    ) -> tuple[pl.Series, pl.Series]:
        """The values, null where the label is missing or empty, and which of the rows are as they seem."""
        name, conversion = self._plan.unwrap, self._plan.aggregation.range.unwrap
        assert name is not None
        assert conversion is not None
        text = fields[name]
        if isinstance(text.dtype, pl.Enum):
            text = text.cast(pl.String)
        hidden = any(own == name for labels in present.values() for own, _ in labels)
        if hidden or (METADATA in frame.columns and _mentions(frame[METADATA], name)):
            unsure = pl.repeat(False, frame.height, dtype=pl.Boolean, eager=True)
            return pl.repeat(None, frame.height, dtype=pl.Float64, eager=True), unsure
        missing = text.is_null() | (text == "")
        if not conversion.conversion:
            plain = text.str.contains(_PLAIN_NUMBER)
            return text.cast(pl.Float64, strict=False), (missing | plain).fill_null(True)
        convert = _CONVERSIONS[conversion.conversion]
        converted = {value: _converted(convert, value) for value in text.unique() if value}
        if len(converted) > max(_FEW_COMBINATIONS, frame.height // 2):
            return pl.repeat(None, frame.height, dtype=pl.Float64, eager=True), missing
        values = text.replace_strict(converted, default=None, return_dtype=pl.Float64)
        return values, (missing | values.is_not_null()).fill_null(True)

    def _combined(
        self,
        frame: pl.DataFrame,
        present: Mapping[int, Labels],
        common: Collection[str],
        fields: Mapping[str, pl.Series],
    ) -> pl.Series | None:
        """The number of each row's series, null where it does not count. None: too many combinations."""
        names = self._plan.names
        parts = []
        needs_streams = names is None or any(own in names for labels in present.values() for own, _ in labels)
        parts.append(self._stream_codes(frame, present) if needs_streams else None)
        needs_metadata = (names is None or not names <= set(common)) and METADATA in frame.columns
        parts.append(self._metadata_codes(frame[METADATA]) if needs_metadata else None)
        parts += [_codes(column) for column in fields.values()]
        packed, size = pl.repeat(0, frame.height, dtype=pl.UInt64, eager=True), 1
        for part in parts:
            if part is not None and len(part.values) > 1:
                packed = packed + part.numbers.cast(pl.UInt64) * size
                size *= len(part.values)
            if size >= 1 << 62:
                return None
        combinations = packed.unique() if size > 1 else packed.head(1)
        if len(combinations) > max(_FEW_COMBINATIONS, int(frame.height * _COMBINATION_SHARE)):
            return None
        series = [self._series_of(_unpacked(int(number), parts), list(fields)) for number in combinations]
        if size == 1:
            return pl.repeat(series[0], frame.height, dtype=pl.UInt32, eager=True)
        answers = pl.Series(SERIES, series, dtype=pl.UInt32)
        if size <= _DENSE:
            table = pl.repeat(None, size, dtype=pl.UInt32, eager=True).scatter(combinations, answers)
            return table.gather(packed)
        return packed.replace_strict(combinations, answers, return_dtype=pl.UInt32)

    def _stream_codes(self, frame: pl.DataFrame, present: Mapping[int, Labels]) -> _Codes:
        names = self._plan.names
        kept: dict[Labels, int] = {}
        table = [0] * (max(present) + 1)
        for number, labels in present.items():
            own = labels if names is None else tuple(pair for pair in labels if pair[0] in names)
            table[number] = kept.setdefault(own, len(kept))
        if len(kept) == 1:
            return _Codes(frame[STREAM], list(kept))
        return _Codes(pl.Series(table, dtype=pl.UInt32).gather(frame[STREAM]), list(kept))

    def _metadata_codes(self, column: pl.Series) -> _Codes:
        texts = _codes(column)
        names = self._plan.names
        kept: dict[Labels, int] = {}
        table = []
        for text in texts.values:
            pairs = parse_metadata(str(text)).items() if text else ()
            own = tuple(pair for pair in pairs if names is None or pair[0] in names)
            table.append(kept.setdefault(own, len(kept)))
        if len(kept) == 1:
            return _Codes(texts.numbers, list(kept))
        return _Codes(pl.Series(table, dtype=pl.UInt32).gather(texts.numbers), list(kept))

    def _series_of(self, combination: Sequence[object], names: Sequence[str]) -> int | None:
        stream, metadata, *values = combination
        assert isinstance(stream, tuple)
        assert isinstance(metadata, tuple)
        fields = tuple((name, value) for name, value in zip(names, values, strict=True) if value is not None)
        key = (stream, metadata, fields)
        with self._lock:
            if key not in self._known:
                labels = self._plan.series(stream, dict(metadata), dict(fields))  # type: ignore[arg-type]
                number = None if labels is None else self._series.setdefault(labels, len(self._series))
                self._known[key] = number  # type: ignore[index]
            return self._known[key]  # type: ignore[index]

    # -- series to windows ----------------------------------------------------

    def _collect(self, frame: pl.DataFrame, *, is_run: bool) -> None:
        if not self._windows.is_totalled:
            extra = [ARRIVAL] if self._plan.aggregation.operation in _ORDERED else []
            self._samples.append(frame.select(SERIES, pl.col(TIMESTAMP).alias(TIME), VALUE, *extra))
            return
        value = [pl.col(LINE_BYTES).cast(pl.Int64).alias(VALUE)] if self._plan.counts_bytes else []
        if is_run and (counted := self._count_runs(frame)) is not None:
            self._counted.append(counted)
        else:
            samples = frame.select(SERIES, pl.col(TIMESTAMP).alias(TIME), *value)
            self._totals.append(self._windows.totals(samples))

    def _count_runs(self, frame: pl.DataFrame) -> pl.DataFrame | None:
        """The rows of a stream stand in the order of time: windows are cut out by their edges, not row by row."""
        edges = self._windows.edges()
        runs = frame.select(pl.struct(STREAM, SERIES).rle().alias("run")).unnest("run")
        if runs.height * len(edges) * 2 > frame.height:
            return None
        times, steps = frame[TIMESTAMP], len(edges) // 2
        sums = None
        if self._plan.counts_bytes:
            sums = pl.concat([pl.Series([0], dtype=pl.Int64), frame[LINE_BYTES].cast(pl.Int64).cum_sum()])
        counted, at = [], 0
        for length, key in runs.iter_rows():
            found = times.slice(at, length).search_sorted(edges, "right").cast(pl.Int64)
            count = found.slice(0, steps) - found.slice(steps)
            value = count
            if sums is not None:
                total = sums.gather(found + at)
                value = total.slice(0, steps) - total.slice(steps)
            counted.append(
                pl.DataFrame(
                    [
                        pl.repeat(key["series"], steps, dtype=pl.UInt32, eager=True).alias(SERIES),
                        pl.int_range(steps, eager=True).alias(STEP),
                        count.alias(COUNT),
                        value.alias(VALUE),
                    ]
                ).filter(pl.col(COUNT) > 0)
            )
            at += length
        return pl.concat([pl.DataFrame(schema=COUNTED_SCHEMA), *counted])

    # -- row by row -----------------------------------------------------------

    def _add_rows(self, frame: pl.DataFrame, batch: Batch) -> None:
        """What the columns do not tell, by the stages themselves."""
        if LINE not in frame.columns or METADATA not in frame.columns or ARRIVAL not in frame.columns:
            raise LinesNeeded
        series, times, values, arrivals = [], [], [], []
        process = self._plan.sampler.process
        for stream, time_ns, line, metadata, arrival in frame.select(
            STREAM, TIMESTAMP, LINE, METADATA, ARRIVAL
        ).iter_rows():
            sample = process(time_ns, line, batch.streams[stream], parse_metadata(metadata))
            if sample is not None:
                labels, value = sample
                with self._lock:
                    series.append(self._series.setdefault(labels, len(self._series)))
                times.append(time_ns)
                values.append(value)
                arrivals.append(arrival)
        columns = {
            SERIES: pl.Series(series, dtype=pl.UInt32),
            TIME: pl.Series(times, dtype=pl.Int64),
            VALUE: pl.Series(values, dtype=pl.Float64),
        }
        if self._windows.is_totalled:
            samples = pl.DataFrame(columns).with_columns(pl.col(VALUE).cast(pl.Int64))
            self._totals.append(self._windows.totals(samples))
            return
        extra = {ARRIVAL: pl.Series(arrivals, dtype=pl.Int64)}
        self._samples.append(pl.DataFrame({**columns, **extra} if self._is_ordered else columns))

    @property
    def _is_ordered(self) -> bool:
        return self._plan.aggregation.operation in _ORDERED


def _common_names(streams: Sequence[Labels]) -> set[str]:
    """The labels that every stream has."""
    if not streams:
        return set()
    common = {name for name, _ in streams[0]}
    for labels in streams[1:]:
        common.intersection_update(name for name, _ in labels)
    return common


def _parser_name(parser: ast.JsonStage | ast.LogfmtStage) -> Parser:
    return "json" if isinstance(parser, ast.JsonStage) else "logfmt"


def _of_parser(shapes: Sequence[Shape], parser: ast.JsonStage | ast.LogfmtStage) -> list[Shape]:
    return [shape for shape in shapes if shape.parser == _parser_name(parser)]


def _lines(frame: pl.DataFrame) -> pl.Series:
    if LINE not in frame.columns:
        raise LinesNeeded
    return frame[LINE]


def _codes(column: pl.Series) -> _Codes:
    """Null is a value of its own, the last."""
    if not isinstance(column.dtype, pl.Enum):
        column = column.cast(pl.Enum(column.unique().drop_nulls()))
    assert isinstance(column.dtype, pl.Enum)
    categories: list[str | None] = column.dtype.categories.to_list()
    numbers = column.to_physical()
    if column.null_count():
        numbers = numbers.cast(pl.UInt32).fill_null(len(categories))
        categories.append(None)
    return _Codes(numbers, categories)


def _unpacked(number: int, parts: Sequence[_Codes | None]) -> list[object]:
    values: list[object] = []
    for part in parts:
        if part is None:
            values.append(())
        elif len(part.values) == 1:
            values.append(part.values[0])
        else:
            number, code = divmod(number, len(part.values))
            values.append(part.values[code])
    return values


def _mentions(metadata: pl.Series, name: str) -> bool:
    return any(name in parse_metadata(str(text)) for text in _codes(metadata).values if text)


def _converted(convert: Conversion, text: str) -> float | None:
    try:
        return convert(text)
    except NotConvertible:
        return None
