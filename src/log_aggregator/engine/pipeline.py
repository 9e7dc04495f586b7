"""A log query's pipeline, entry by entry: the readable meaning of every stage."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, assert_never

from log_aggregator.engine.demand import demand_for_all, filters_of
from log_aggregator.engine.entry_labels import Demand, EntryLabels
from log_aggregator.engine.format_stages import compile_decolorize, compile_label_format, compile_line_format
from log_aggregator.engine.json_paths import compile_json_paths
from log_aggregator.engine.json_stages import extract_json, unpack
from log_aggregator.engine.label_choice import compile_drop, compile_keep
from log_aggregator.engine.label_filter import compile_label_filter
from log_aggregator.engine.line_filter import compile_line_filter
from log_aggregator.engine.logfmt import compile_logfmt
from log_aggregator.engine.stage import Process
from log_aggregator.engine.text_stages import compile_pattern, compile_regexp
from log_aggregator.logql.ast import (
    DecolorizeStage,
    DropStage,
    JsonStage,
    KeepStage,
    LabelFilter,
    LabelFilterStage,
    LabelFormatStage,
    LineFilterStage,
    LineFormatStage,
    LogfmtStage,
    PatternStage,
    RegexpStage,
    Stage,
    UnpackStage,
)
from log_aggregator.model.labels import Labels

_NOTHING: Final[Mapping[str, str]] = {}


class Row(NamedTuple):
    """An entry that has passed a pipeline. Labels are kept apart by where they come from."""

    timestamp_ns: int
    line: str
    stream: Labels
    metadata: Mapping[str, str]
    parsed: Mapping[str, str]

    def labels(self) -> Labels:
        """All of them together, as an answer without the categorize-labels flag has them."""
        return tuple(sorted({**dict(self.stream), **self.metadata, **self.parsed}.items()))


class Pipeline:
    """Safe to use from several threads."""

    def __init__(
        self, stages: Sequence[Process], demand: Demand, filters: Sequence[Callable[[str], bool]] | None = None
    ) -> None:
        """`filters` of lines, if the stages are nothing else."""
        self._stages = tuple(stages)
        self._filters = filters
        self._demand = demand
        self._last: tuple[Labels, dict[str, str]] = ((), {})

    def process(self, timestamp_ns: int, line: str, stream: Labels, metadata: Mapping[str, str]) -> Row | None:
        """The entry as the stages leave it; None where one of them filters it out."""
        passed = self.run(timestamp_ns, line, stream, metadata)
        if passed is None:
            return None
        line, labels = passed
        if not labels.changed:
            return Row(timestamp_ns, line, stream, _NOTHING, _NOTHING)
        own, left = stream, labels.left_of_stream()
        if len(left) != len(stream):
            stream = tuple(left.items())
        made = labels.made()
        if made and not labels.metadata and {**left, **made} == dict(own):
            # Labels that were made what they are in the stream already: Loki knows them by the whole of the labels.
            return Row(timestamp_ns, line, own, _NOTHING, _NOTHING)
        return Row(timestamp_ns, line, stream, labels.metadata, made)

    @property
    def filters_only(self) -> bool:
        """Whether the labels of a row follow from those of the entry."""
        return self._filters is not None

    def process_like(self, row: Row, timestamp_ns: int, line: str) -> Row | None:
        """`process` of an entry with the labels of the one that the row was made of; only of a filter of lines."""
        assert self._filters is not None
        for keeps in self._filters:
            if not keeps(line):
                return None
        return Row(timestamp_ns, line, row.stream, row.metadata, row.parsed)

    def run(
        self, timestamp_ns: int, line: str, stream: Labels, metadata: Mapping[str, str]
    ) -> tuple[str, EntryLabels] | None:
        """The line and the labels as the stages leave them; None where one of them filters the entry out."""
        labels = EntryLabels(timestamp_ns, self._mapping(stream), metadata, self._demand)
        for stage in self._stages:
            changed = stage(line, labels)
            if changed is None:
                return None
            line = changed
        return line, labels

    def _mapping(self, stream: Labels) -> dict[str, str]:
        # Entries of a stream mostly come one after the other. Read and replaced whole: threads may share this.
        last = self._last
        if last[0] is not stream:
            last = self._last = (stream, dict(stream))
        return last[1]


def compile_pipeline(
    stages: Sequence[Stage], demand: Demand | None = None, compiled: Callable[[Stage], Process] | None = None
) -> Pipeline:
    """Without a demand, all labels of the result count. `compiled` is what stands for each stage, if not itself."""
    processes = [(compiled or compile_stage)(stage) for stage in line_filters_first(stages)]
    filters = [compile_line_filter(stage) for stage in stages if isinstance(stage, LineFilterStage)]
    only = filters if len(filters) == len(stages) else None
    return Pipeline(processes, demand or demand_for_all(filters_of(stages)), only)


def line_filters_first(stages: Iterable[Stage]) -> list[Stage]:
    """Line filters before the stages that they do not depend on, as Loki runs them.

    It can be seen: a line filter behind decolorize sees the colours.
    """
    ordered: list[Stage] = []
    filters: list[Stage] = []
    others: list[Stage] = []
    for stage in stages:
        match stage:
            case LineFilterStage():
                filters.append(stage)
                continue
            case LabelFilterStage():
                ordered += [*filters, *others, stage]
            case LineFormatStage() | UnpackStage():
                ordered += [*filters, *others, stage]
            case _:
                others.append(stage)
                continue
        filters.clear()
        others.clear()
    return [*ordered, *filters, *others]


def compile_stage(stage: Stage) -> Process:
    match stage:
        case LineFilterStage():
            return _line_filter(stage)
        case LabelFilterStage(node):
            return _label_filter(node)
        case JsonStage(()):
            return extract_json
        case JsonStage(extractions):
            return compile_json_paths(extractions)
        case LogfmtStage():
            return compile_logfmt(stage)
        case RegexpStage():
            return compile_regexp(stage)
        case PatternStage():
            return compile_pattern(stage)
        case UnpackStage():
            return unpack
        case LineFormatStage():
            return compile_line_format(stage)
        case LabelFormatStage():
            return compile_label_format(stage)
        case DecolorizeStage():
            return compile_decolorize()
        case DropStage():
            return compile_drop(stage)
        case KeepStage():
            return compile_keep(stage)
        case _:
            assert_never(stage)


def _line_filter(stage: LineFilterStage) -> Process:
    keeps = compile_line_filter(stage)
    return lambda line, labels: line if keeps(line) else None


def _label_filter(node: LabelFilter) -> Process:
    passes = compile_label_filter(node)
    return lambda line, labels: line if passes(labels) else None
