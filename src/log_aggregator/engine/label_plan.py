"""How the stages of a pipeline are worked out on columns: line filters, then parsers, then filters of labels.

What the stages behind them make of an entry follows from its stream, its metadata and the few fields that they read.
So they need not run on every entry: they run once, as the row-wise stages define it, on an *outline* for each distinct
combination of those, and all entries of the combination share the answer.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import polars as pl

from log_aggregator.engine.batch import Form
from log_aggregator.engine.columnar import CHANGES_LINE, line_filter_expression, push_line_filters
from log_aggregator.engine.demand import filters_of
from log_aggregator.engine.entry_labels import EXTRACTED, Demand, EntryLabels
from log_aggregator.engine.label_columns import LabelColumns, both, either, judged
from log_aggregator.engine.label_filter import compile_label_filter, names_read
from log_aggregator.engine.made_lines import MadeLine, parts_of
from log_aggregator.engine.parsed_fields import OF_ERRORS, Parsed, ParsedFields, ParserStage, has_columns, is_made
from log_aggregator.formats.chunk import FIELD_PREFIX
from log_aggregator.logql import ast
from log_aggregator.logql.ast import Stage
from log_aggregator.logql.idle_formats import without_idle
from log_aggregator.logql.template import compile_template
from log_aggregator.model.labels import Labels
from log_aggregator.model.segment import LINE, METADATA

_COMPARISONS = ast.NumberFilter | ast.DurationFilter | ast.BytesFilter
EXTRACTING = ParserStage | ast.UnpackStage
"""Stages that extract labels from the line."""
_FILTERS = ast.LabelFilterStage | ast.LineFilterStage


@dataclass(frozen=True, slots=True)
class Judgement:
    """What columns tell of the leading filters: the numbers of those that are `decided`.

    Of each row: whether it passes these or may pass (None: all do), and whether that is for the row-wise stages to tell
    (None: of no row).
    """

    decided: frozenset[int]
    passes: pl.Series | None = field(repr=False)
    unsure: pl.Series | None = field(repr=False)


UNDECIDED: Final = Judgement(frozenset(), None, None)


@dataclass(frozen=True, slots=True)
class Leading:
    """Filters, by the number of the stage, that see what parsers, stream and metadata give.

    Those of `labels`, with whether they stand behind the parsers; and those of `lines` that are made of such labels.
    `last` is the line that all stages leave, if it is made so.
    """

    labels: Mapping[int, bool]
    lines: Mapping[int, MadeLine]
    last: MadeLine | None

    @property
    def numbers(self) -> frozenset[int]:
        """Those of all of them."""
        return frozenset((*self.labels, *self.lines))


class LabelPlan:
    """`stages` are those behind the filters of stored lines, which `mask` is of."""

    def __init__(
        self,
        mask: pl.Expr | None,
        stages: Sequence[Stage],
        parsed: ParsedFields,
        leading: Leading,
    ) -> None:
        self.mask = mask
        self.stages = tuple(stages)
        self.parsed = parsed
        self.leading = leading
        self.filter_names = with_sources(
            [
                *(name for number in leading.labels for name in names_read(self._filter(number))),
                *(name for line in leading.lines.values() for name in line.names),
            ]
        )
        """The labels that the leading filters read."""
        self.numeric_columns = self._numeric_columns()
        """The columns of the fields that the leading filters only compare with numbers."""

    @property
    def has_filters(self) -> bool:
        """Whether some row may not pass."""
        return any(isinstance(stage, _FILTERS) for stage in self.stages)

    def stages_without(self, decided: frozenset[int]) -> Sequence[Stage]:
        """Those that are left when these filters are decided: without line_formats whose line only these read."""
        return without_idle([stage for number, stage in enumerate(self.stages) if number not in decided])

    def outline_stages(self, decided: frozenset[int]) -> list[Stage]:
        """The same for outlines, whose line `ParsedFields.outline_line` makes."""
        parsers = {id(parser) for parser in self.parsed.parsers}
        return [
            self.parsed.outline_parser(stage) if isinstance(stage, ParserStage) and id(stage) in parsers else stage
            for stage in self.stages_without(decided)
        ]

    def filter_names_without(self, decided: frozenset[int]) -> frozenset[str] | None:
        """The labels that all other filters of the stages depend on, leading or not; None where there are none."""
        stages = self.stages_without(decided)
        if not any(isinstance(stage, _FILTERS) for stage in stages):
            return None
        made = (stage.template for stage in stages if isinstance(stage, ast.LineFormatStage))
        return with_sources(
            [
                *(name for node in filters_of(stages) for name in names_read(node)),
                *(name for template in made for name in compile_template(template).needs or ()),
            ]
        )

    def column(self, label: str) -> str:
        """The column that the label's field may be stored in."""
        return FIELD_PREFIX + (self.parsed.field_of(label) or "")

    def judge(self, frame: pl.DataFrame, streams: Mapping[int, Labels], parsed: Parsed) -> Judgement:
        """`streams` are those of the rows, by number."""
        columns = LabelColumns(frame, streams, parsed.values)
        passes = unsure = None
        decided = set()
        for number, is_parsed in self.leading.labels.items():
            if parsed.kinds is not None and _has_address(self.stages[number]):
                continue  # any address passes where a parser has failed
            verdict = judged(self._filter(number), partial(self._column, columns, is_parsed=is_parsed))
            if verdict is None:
                continue
            decided.add(number)
            passes = both(passes, verdict.passes if verdict.unsure is None else verdict.passes | verdict.unsure)
            unsure = either(unsure, verdict.unsure)
        lines: dict[MadeLine, pl.Series | None] = {}
        for number, line in self.leading.lines.items():
            if line not in lines:
                lines[line] = self._line(line, columns, frame.height)
            if (made := lines[line]) is not None:
                decided.add(number)
                passes = both(passes, _kept(made, self.stages[number]))
        return Judgement(frozenset(decided), passes, unsure)

    def last_line(self, frame: pl.DataFrame, streams: Mapping[int, Labels], parsed: Parsed) -> pl.Series | None:
        """The lines that all stages leave, which `leading` knows; None where the label columns are not known."""
        assert self.leading.last is not None
        return self._line(self.leading.last, LabelColumns(frame, streams, parsed.values), frame.height)

    def _line(self, line: MadeLine, columns: LabelColumns, rows: int) -> pl.Series | None:
        return line.column(partial(self._column, columns, is_parsed=line.is_parsed), rows)

    def _column(self, columns: LabelColumns, name: str, *, is_parsed: bool) -> pl.Series | None:
        column = columns.of(name, parsed=is_parsed)
        default = self.parsed.default(name) if is_parsed else None
        if column is None or default is None or not column.null_count():
            return column
        return column.cast(pl.String).fill_null(default)

    def _filter(self, number: int) -> ast.LabelFilter:
        stage = self.stages[number]
        assert isinstance(stage, ast.LabelFilterStage)
        return stage.filter

    def _numeric_columns(self) -> set[str]:
        texts = {name for line in self.leading.lines.values() for name in line.names}
        numbers: set[str] = set()
        for number in self.leading.labels:
            for leaf in _leaves(self._filter(number)):
                (numbers if isinstance(leaf, ast.NumberFilter) else texts).update(names_read(leaf))
        return set(map(self.column, numbers)) - set(map(self.column, texts))


def plan_labels(stages: Sequence[Stage], demand: Demand | None = None) -> LabelPlan | None:
    """Of a whole pipeline, whose parsers are asked for this. None where they have no columnar form."""
    pushed = push_line_filters(stages)
    rest = pushed.rest
    at = next((number for number, stage in enumerate(rest) if isinstance(stage, CHANGES_LINE)), len(rest))
    parsers = [stage for stage in rest[:at] if isinstance(stage, ParserStage)]
    if not has_columns(parsers):
        return None
    leading = _leading(rest, len(parsers))
    if order_matters(filters_of(stages)):
        labels = {number: parsed for number, parsed in leading.labels.items() if not _has_address(rest[number])}
        leading = replace(leading, labels=labels)
    are_followed = any(isinstance(stage, EXTRACTING) for stage in rest[at:])
    return LabelPlan(pushed.predicate, rest, ParsedFields(parsers, demand, are_followed=are_followed), leading)


def plan_leading(stages: Sequence[Stage]) -> LabelPlan:
    """Of as many stages from the front as columns may tell about.

    These are parsers that have columns, label filters, stages that drop or keep labels, and behind those line_formats
    of labels and filters of their lines.
    """
    taken: list[Stage] = []
    parsers: list[ParserStage] = []
    is_made = False
    is_ordered = order_matters(filters_of(stages))
    for stage in stages:
        if is_ordered and _has_address(stage):
            break
        if isinstance(stage, ParserStage) and not is_made and has_columns([*parsers, stage]):
            parsers.append(stage)
        elif isinstance(stage, ast.LineFormatStage) and parts_of(stage) is not None:
            is_made = True
        elif not isinstance(stage, _FILTERS | ast.DropStage | ast.KeepStage):
            break
        taken.append(stage)
    # A parser tries comparisons that come later, too, and these may fail before a filter of errors.
    later = [leaf for node in filters_of(stages[len(taken) :]) for leaf in _leaves(node)]
    if any(isinstance(leaf, _COMPARISONS) for leaf in later):
        end = next((number for number, stage in enumerate(taken) if _reads_errors(stage)), len(taken))
        if end < len(taken):
            return plan_leading(taken[:end])
    return LabelPlan(None, taken, ParsedFields(parsers), _leading(taken, len(parsers)))


def _leading(stages: Sequence[Stage], parsers: int) -> Leading:
    """Of stages of which so many are parsers with columns: filters before which no stage changes a label."""
    labels: dict[int, bool] = {}
    lines: dict[int, MadeLine] = {}
    last_parser = max((number for number, stage in enumerate(stages) if isinstance(stage, EXTRACTING)), default=-1)
    seen = 0
    line: MadeLine | None = None
    changed: set[str] = set()
    kept: set[str] | None = None
    for number, stage in enumerate(stages):
        match stage:
            case ast.LabelFilterStage(node):
                names = with_sources(names_read(node))
                if (
                    not names.isdisjoint(changed)
                    or not (kept is None or names <= kept)
                    or (changed and _has_address(stage))
                ):
                    continue
                # One that lets pass what has no such label is tried again when a parser finds it.
                if seen in (0, parsers) and (number > last_parser or not _passes_without_labels(node)):
                    labels[number] = seen > 0
            case ast.LineFormatStage():
                if (parts := parts_of(stage)) is None:
                    break
                line = MadeLine(parts, seen > 0)
                names = with_sources(line.names)
                if (
                    not names.isdisjoint(changed)
                    or not (kept is None or names <= kept)
                    or any(map(is_made, line.names))
                ):
                    line = None
            case ast.LineFilterStage():
                if line is not None:
                    lines[number] = line
            case ast.DropStage(dropped):
                changed.update(_names_of(dropped))
            case ast.KeepStage(chosen):
                own = {one for one in chosen if isinstance(one, str)}
                kept = own if kept is None else kept & own
            case ast.LabelFormatStage(assignments):
                changed.update(*((one.name, one.value) if one.is_rename else (one.name,) for one in assignments))
            case _ if isinstance(stage, ParserStage) and seen < parsers and not changed - OF_ERRORS and kept is None:
                seen += 1
            case _:
                break
    else:
        return Leading(labels, lines, line)
    return Leading(labels, lines, None)


def _kept(lines: pl.Series, stage: Stage) -> pl.Series:
    """Which of the lines a line filter keeps."""
    assert isinstance(stage, ast.LineFilterStage)
    return lines.to_frame().select_seq(line_filter_expression(stage).alias(LINE))[LINE]


def _passes_without_labels(node: ast.LabelFilter) -> bool:
    """Whether entries without labels pass."""
    return compile_label_filter(node)(EntryLabels(0, {}, {}, Demand()))


def _leaves(node: ast.LabelFilter) -> Iterator[ast.LabelFilter]:
    """The filters of single labels that a filter consists of."""
    if isinstance(node, ast.AndFilter | ast.OrFilter):
        yield from _leaves(node.left)
        yield from _leaves(node.right)
    else:
        yield node


def _has_address(stage: Stage) -> bool:
    return isinstance(stage, ast.LabelFilterStage) and any(
        isinstance(leaf, ast.IpFilter) for leaf in _leaves(stage.filter)
    )


def _reads_errors(stage: Stage) -> bool:
    return isinstance(stage, ast.LabelFilterStage) and not OF_ERRORS.isdisjoint(names_read(stage.filter))


def order_matters(filters: Iterable[ast.LabelFilter]) -> bool:
    """Whether filters may come to another end in another order.

    They are tried when a parser finds their field, and where a comparison could not convert it, every address passes.
    """
    found = [leaf for node in filters for leaf in _leaves(node)]
    return any(isinstance(one, ast.IpFilter) for one in found) and any(isinstance(one, _COMPARISONS) for one in found)


def forms_of(columns: Collection[str], numeric: Collection[str]) -> dict[str, Form]:
    """In what form columns of metadata and fields are wanted, if of the `numeric` ones only the numbers count."""
    forms: dict[str, Form] = {name: "codes" for name in columns if name == METADATA or name.startswith(FIELD_PREFIX)}
    return forms | {name: "codes or numbers" for name in numeric if name in columns}


def depends_on_labels(stages: Sequence[Stage]) -> bool:
    """Whether what the stages do follows from labels alone, and from the line that one of them makes of labels."""
    is_made = False
    for stage in stages:
        match stage:
            case ast.LineFormatStage(template):
                # One that fails leaves the line as it was; and what nothing reads is not made (`idle_formats`).
                if not _reads_labels(template) or compile_template(template).simple is None:
                    return False
                is_made = True
            case ast.LabelFormatStage(assignments):
                if not all(one.is_rename or _reads_labels(one.value) for one in assignments):
                    return False
            case ast.LabelFilterStage() | ast.DropStage() | ast.KeepStage():
                pass
            case ast.JsonStage() | ast.LogfmtStage() | ast.PatternStage() | ast.RegexpStage():
                pass
            case _ if not is_made:
                return False
    return True


def _reads_labels(text: str) -> bool:
    template = compile_template(text)
    return template.needs is not None and not template.uses_line and not template.uses_timestamp


def names_needed(stages: Sequence[Stage], end: frozenset[str] | None) -> frozenset[str] | None:
    """The labels before the stages that those at their `end` depend on; None for all."""
    names = None if end is None else set(end)
    is_last_parser_behind = False
    for stage in reversed(stages):
        match stage:
            case ast.LabelFilterStage(node):
                names = _and(names, names_read(node))
            case ast.LabelFormatStage(assignments):
                for one in reversed(assignments):
                    reads = {one.value, one.name} if one.is_rename else set(compile_template(one.value).needs or ())
                    # What fails, fails whether its label is needed or not; to rename does not fail.
                    if not one.is_rename or not reads.isdisjoint(names or ()):
                        names = _and(names, reads)
            case ast.LineFormatStage(template):
                names = _and(names, compile_template(template).needs or ())
            case ast.KeepStage(labels) if not is_last_parser_behind:
                kept = set(_names_of(labels))
                names = kept if names is None else names & (kept | OF_ERRORS)
            case ast.DropStage(labels) if names is not None and not is_last_parser_behind:
                names -= {one for one in labels if isinstance(one, str)}
            case _ if isinstance(stage, EXTRACTING):
                is_last_parser_behind = True
            case _:
                pass
    return None if names is None else with_sources(names)


def _and(names: set[str] | None, more: Iterable[str]) -> set[str] | None:
    return None if names is None else names | set(more)


def with_sources(names: Iterable[str]) -> frozenset[str]:
    """With the fields that give these labels where their own names are taken; without errors, which are no fields."""
    found = set(names)
    return frozenset(found | {name.removesuffix(EXTRACTED) for name in found}) - OF_ERRORS


def _names_of(labels: Iterable[str | ast.Matcher]) -> Iterator[str]:
    return (one if isinstance(one, str) else one.name for one in labels)


def fields_read(names: frozenset[str] | None, common: Collection[str], more: Collection[str] = ()) -> list[str]:
    """The fields that labels of these names depend on, and `more`, which is all where nothing is parsed (None).

    Labels that all streams have in common hide fields of their names, unless what these are renamed to is read.
    """
    if names is None:
        return list(more)
    hidden = {name for name in common if name + EXTRACTED not in names}
    return sorted({*(names - hidden), *more})
