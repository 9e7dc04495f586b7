"""How the stages of a pipeline are worked out on columns: line filters, then parsers, then filters of labels.

What the stages behind them make of an entry follows from its stream, its metadata and the few fields that they read.
So they need not run on every entry: they run once, as the row-wise stages define it, on an *outline* for each distinct
combination of those, and all entries of the combination share the answer.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from log_aggregator.engine.batch import Form
from log_aggregator.engine.columnar import CHANGES_LINE, line_filter_expression, push_line_filters
from log_aggregator.engine.decolorize_reader import DecolorizeReader
from log_aggregator.engine.demand import filters_of
from log_aggregator.engine.entry_labels import EXTRACTED, OF_ERRORS, Demand
from log_aggregator.engine.label_columns import both, either, judged
from log_aggregator.engine.label_filter import names_read
from log_aggregator.engine.leading import Leading, has_address, leading_of, leaves, names_of, with_sources
from log_aggregator.engine.made_labels import MadeLabel, is_key, named
from log_aggregator.engine.made_lines import MOST_BYTES, MadeLine, parts_of
from log_aggregator.engine.parser_chain import Findings, LabelOf, ParserChain, Reading
from log_aggregator.engine.parsers import ParserStage
from log_aggregator.engine.readers import reader_of
from log_aggregator.engine.shapes import Shape
from log_aggregator.formats.chunk import FIELD_PREFIX
from log_aggregator.logql import ast
from log_aggregator.logql.ast import Stage
from log_aggregator.logql.idle_formats import without_idle
from log_aggregator.logql.template import compile_template
from log_aggregator.model.columns import constant
from log_aggregator.model.labels import Labels
from log_aggregator.model.segment import LINE, METADATA

# To take rows out takes about a fifth of the time that it takes to read their lines.
_MOST_LEFT: Final = 0.8
_COMPARISONS = ast.NumberFilter | ast.DurationFilter | ast.BytesFilter
_FILTERS = ast.LabelFilterStage | ast.LineFilterStage


@dataclass(frozen=True, slots=True)
class Judgement:
    """What columns tell of the leading filters: the numbers of those that are `decided`.

    Of each row: whether it passes these or may pass (None: all do), and whether that is for the row-wise stages to tell
    (None: of no row). And the labels that are `made` of the others, by key.
    """

    decided: frozenset[int]
    passes: pl.Series | None = field(repr=False)
    unsure: pl.Series | None = field(repr=False)
    made: Mapping[str, pl.Series] = field(default_factory=dict, repr=False)

    def and_also(self, other: "Judgement") -> "Judgement":
        """What both tell of the same rows."""
        passes = self.passes if other.passes is None else both(self.passes, other.passes)
        return Judgement(self.decided | other.decided, passes, either(self.unsure, other.unsure))


UNDECIDED: Final = Judgement(frozenset(), None, None)


class LabelPlan:
    """`stages` are those behind the filters of stored lines, which `mask` is of."""

    def __init__(
        self, mask: pl.Expr | None, stages: Sequence[Stage], leading: Leading, demand: Demand | None = None
    ) -> None:
        """Parsers are asked for the demand: for all, if it is not given."""
        self.mask = mask
        self.stages = tuple(stages)
        self.leading = leading
        self.made: Sequence[MadeLabel] = [one for made in leading.made.values() for one in made]
        """The labels that columns make for the stages."""
        self.made_keys = frozenset(one.key for one in self.made)
        self.made_of = with_sources(name for one in self.made for name in one.names)
        """The labels that these are made of."""
        self._stages = {**dict(enumerate(stages)), **{number: named(made) for number, made in leading.made.items()}}
        self.chain = _chain(self.stages, leading, demand)
        self.filter_names = with_sources(
            [
                *(name for number in leading.labels for name in self._given_names(number)),
                *(name for line in leading.lines.values() for name in line.names),
                *self.chain.line_names,
                *self.made_of,
            ]
        )
        """The labels that the leading filters and parsers read, and that others are made of."""
        self.numeric_columns = self._numeric_columns()
        """The columns of the fields that the leading filters only compare with numbers."""

    @property
    def has_filters(self) -> bool:
        """Whether some row may not pass."""
        return any(isinstance(stage, _FILTERS) for stage in self.stages)

    def stages_without(self, decided: frozenset[int]) -> Sequence[Stage]:
        """Those that are left when these filters are decided: without line_formats whose line only these read.

        Nor is there need of those that only parsers read which columns stand for. The labels that are `made` stand
        among those of the entry under their keys.
        """
        left = {number: stage for number, stage in self._stages.items() if number not in decided}
        kept = {*self._formats_in_use(decided), *self.leading.parsers}
        return without_idle(
            [stage for number, stage in left.items() if number in kept or number not in self.leading.formats]
        )

    def are_outlined(self, decided: frozenset[int]) -> bool:
        """Whether outlines have the lines that are read, when these filters are decided."""
        return not self._formats_in_use(decided)

    def names_without(self, decided: frozenset[int]) -> frozenset[str] | None:
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

    def read(
        self,
        frame: pl.DataFrame,
        shapes: Sequence[Shape] | None,
        streams: Mapping[int, Labels],
        names: Collection[str],
        *,
        are_all_names: bool = False,
    ) -> tuple[pl.DataFrame, Findings] | None:
        """The labels of these names that parsers find, of which it may matter that there are no others.

        With the rows that these are of: not of those that filters between parsers surely refuse, if many are. None if
        they refuse all. `streams` are those of the rows, by number. Raises LinesNeeded.
        """
        if are_all_names and self.leading.of_given:  # of few labels, before all are read
            read = [name for name in names if name in self.filter_names]
            found = self.chain.read_first(frame, shapes, read, are_all_names=False)
            passes = self._may_pass(self.leading.of_given, frame, streams, found)
            if passes is not None and passes.sum() <= _MOST_LEFT * frame.height:
                frame = frame.filter(passes)
                if not frame.height:
                    return None
        found = self.chain.read_first(frame, shapes, names, are_all_names=are_all_names)
        for reading in range(1, len(self.chain.readings)):
            passes = self._may_pass(self.leading.before(reading), frame, streams, found)
            if passes is not None and passes.sum() <= _MOST_LEFT * frame.height:
                frame, found = frame.filter(passes), found.only(passes)
                if not frame.height:
                    return None
            found = self.chain.read_next(frame, shapes, streams, names, found)
        return frame, found

    def _may_pass(
        self, filters: frozenset[int], frame: pl.DataFrame, streams: Mapping[int, Labels], found: Findings
    ) -> pl.Series | None:
        """Which rows may pass these leading filters; None: all."""
        if not filters:
            return None
        passes = self._judged(filters, self.chain.labels(frame, streams, found), frame.height, found, {}).passes
        return passes if passes is None or found.easy is None else passes | ~found.easy

    def judge(self, labels: LabelOf, rows: int, found: Findings, *, has_filters: bool = True) -> Judgement:
        """Of so many rows, with these labels; with `has_filters` false, no filter is decided."""
        judgement = self._judged(self.leading.of_given, labels, rows, found, {}) if has_filters else UNDECIDED
        if not self.made:
            return judgement
        made, unknown = self._make(labels, rows, judgement.passes)
        if has_filters and self.leading.of_made:
            judgement = judgement.and_also(self._judged(frozenset(self.leading.of_made), labels, rows, found, made))
        passes = judgement.passes
        if passes is not None and unknown is not None:
            passes |= unknown
        return Judgement(judgement.decided, passes, either(judgement.unsure, unknown), made)

    def _make(
        self, labels: LabelOf, rows: int, counted: pl.Series | None
    ) -> tuple[Mapping[str, pl.Series], pl.Series | None]:
        """The labels that are made, by key, of so many rows, or of those of them that are counted (None: all).

        And which of the counted rows are for the row-wise stages to tell (None: none).
        """
        columns, unknown = {}, None
        for one in self.made:
            column = one.column(labels, counted, MOST_BYTES // len(self.made))
            columns[one.key] = constant(None, rows, pl.String) if column is None else column
            if columns[one.key].null_count():
                unknown = either(unknown, both(counted, columns[one.key].is_null()))
        return columns, unknown

    def reads_formatted(self, decided: frozenset[int]) -> bool:
        """Whether a filter that is not decided reads a label that a label_format sets or renames."""
        formats = (stage for stage in self.stages if isinstance(stage, ast.LabelFormatStage))
        names = {name for stage in formats for one in stage.assignments for name in (one.name, one.value)}
        left = filters_of([stage for number, stage in enumerate(self.stages) if number not in decided])
        return any(not names.isdisjoint(names_read(node)) for node in left)

    def _judged(
        self,
        filters: frozenset[int],
        labels: LabelOf,
        rows: int,
        found: Findings,
        made: Mapping[str, pl.Series],
    ) -> Judgement:
        passes = unsure = None
        decided = set()
        for number in filters & self.leading.labels.keys():
            if found.may_fail and has_address(self.stages[number]):
                continue  # any address passes where a parser has failed
            verdict = judged(self._filter(number), self._column_of(number, labels, made))
            if verdict is None:
                continue
            decided.add(number)
            passes = both(passes, verdict.passes if verdict.unsure is None else verdict.passes | verdict.unsure)
            unsure = either(unsure, verdict.unsure)
        lines: dict[MadeLine, pl.Series | None] = {}
        for number, line in self.leading.lines.items():
            if number not in filters:
                continue
            if line not in lines:
                lines[line] = line.column(labels, rows)
            if (text := lines[line]) is not None:
                decided.add(number)
                passes = both(passes, _kept(text, self.stages[number]))
        return Judgement(frozenset(decided), passes, unsure)

    def _column_of(
        self, number: int, labels: LabelOf, made: Mapping[str, pl.Series]
    ) -> Callable[[str], pl.Series | None]:
        """The labels that a filter reads."""
        readings, own = self.leading.labels[number], self.leading.of_made.get(number, {})
        return lambda name: made[own[name].key] if name in own else labels(readings, name)

    def _given_names(self, number: int) -> frozenset[str]:
        """The labels that a filter reads as they are given."""
        return names_read(self._filter(number)) - self.leading.of_made.get(number, {}).keys()

    def _filter(self, number: int) -> ast.LabelFilter:
        stage = self.stages[number]
        assert isinstance(stage, ast.LabelFilterStage)
        return stage.filter

    def _formats_in_use(self, decided: frozenset[int]) -> list[int]:
        """The line_formats before parsers with columns whose line others read, too, or filters that are not decided."""
        known = decided | self.leading.parsers.keys()
        used = []
        for number in self.leading.formats:
            for reader, stage in enumerate(self.stages[number + 1 :], number + 1):
                if isinstance(stage, ParserStage | ast.LineFilterStage) and reader not in known:
                    used.append(number)
                if isinstance(stage, CHANGES_LINE):
                    break
        return used

    def _numeric_columns(self) -> set[str]:
        if not self.chain.is_single:
            return set()  # what one reading does not find another may, as a text
        texts = {name for line in self.leading.lines.values() for name in line.names}
        texts |= self.made_of
        numbers: set[str] = set()
        for number in self.leading.labels:
            given = self._given_names(number)
            for leaf in leaves(self._filter(number)):
                (numbers if isinstance(leaf, ast.NumberFilter) else texts).update(names_read(leaf) & given)
        return self.chain.stored_columns(numbers) - self.chain.stored_columns(texts)


def _chain(stages: Sequence[Stage], leading: Leading, demand: Demand | None) -> ParserChain:
    are_followed = any(isinstance(stage, ParserStage) for stage in stages[max(leading.parsers, default=-1) + 1 :])
    readings = []
    for reading, line in enumerate(leading.read):
        own = (stages[number] for number, other in leading.parsers.items() if other == reading)
        parsers = [stage for stage in own if isinstance(stage, ParserStage)]
        reader = reader_of(parsers, demand, are_followed=are_followed) if parsers else DecolorizeReader()
        readings.append(Reading(line, parsers, reader))
    return ParserChain(readings)


def plan_labels(stages: Sequence[Stage], demand: Demand | None = None) -> LabelPlan | None:
    """Of a whole pipeline, whose parsers are asked for this. None where they have no columnar form."""
    pushed = push_line_filters(stages)
    rest = pushed.rest
    at = next((number for number, stage in enumerate(rest) if isinstance(stage, CHANGES_LINE)), len(rest))
    leading = leading_of(rest)
    if any(
        isinstance(stage, ParserStage) and number not in leading.parsers for number, stage in enumerate(rest[: at + 1])
    ):
        return None
    if order_matters(filters_of(stages)):
        leading = leading.without_addresses(rest)
    return LabelPlan(pushed.predicate, rest, leading, demand)


def plan_leading(stages: Sequence[Stage]) -> LabelPlan:
    """Of as many stages from the front as columns may tell about.

    These are parsers that have columns, decolorize before them, label filters, stages that drop or keep labels,
    line_formats of labels and filters of their lines, and label_formats that rename labels or make them on columns.
    """
    is_ordered = order_matters(filters_of(stages))
    leading = leading_of(stages)
    taken: list[Stage] = []
    for number, stage in enumerate(stages):
        if is_ordered and has_address(stage):
            break
        is_made = isinstance(stage, ast.LineFormatStage) and parts_of(stage) is not None
        is_uncoloured = isinstance(stage, ast.DecolorizeStage) and number in leading.formats
        is_read = number in leading.parsers or is_uncoloured
        is_known = is_read or is_made or number in leading.made or _only_renames(stage)
        if not is_known and not isinstance(stage, _FILTERS | ast.DropStage | ast.KeepStage):
            break
        taken.append(stage)
    # A parser tries comparisons that come later, too, and these may fail before a filter of errors.
    later = [leaf for node in filters_of(stages[len(taken) :]) for leaf in leaves(node)]
    if any(isinstance(leaf, _COMPARISONS) for leaf in later):
        end = next((number for number, stage in enumerate(taken) if _reads_errors(stage)), len(taken))
        if end < len(taken):
            return plan_leading(taken[:end])
    return LabelPlan(None, taken, leading_of(taken))


def _only_renames(stage: Stage) -> bool:
    return isinstance(stage, ast.LabelFormatStage) and all(one.is_rename for one in stage.assignments)


def _kept(lines: pl.Series, stage: Stage) -> pl.Series:
    """Which of the lines a line filter keeps."""
    assert isinstance(stage, ast.LineFilterStage)
    return lines.to_frame().select_seq(line_filter_expression(stage).alias(LINE))[LINE]


def _reads_errors(stage: Stage) -> bool:
    return isinstance(stage, ast.LabelFilterStage) and not OF_ERRORS.isdisjoint(names_read(stage.filter))


def order_matters(filters: Iterable[ast.LabelFilter]) -> bool:
    """Whether filters may come to another end in another order.

    They are tried when a parser finds their field, and where a comparison could not convert it, every address passes.
    """
    found = [leaf for node in filters for leaf in leaves(node)]
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
            case _ if isinstance(stage, ParserStage):
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
    set_behind: set[str] = set()
    is_last_parser_behind = False
    for stage in reversed(stages):
        match stage:
            case ast.LabelFilterStage(node):
                names = _and(names, names_read(node))
            case ast.LabelFormatStage(assignments):
                set_behind.update(one.name for one in assignments)
                for one in reversed(assignments):
                    if is_key(one.value):  # which is there, whatever label of the name is
                        if names is not None and one.name in names:
                            names = names - {one.name} | {one.value}
                        continue
                    reads = {one.value, one.name} if one.is_rename else set(compile_template(one.value).needs or ())
                    # What fails, fails whether its label is needed or not; to rename does not fail.
                    if not one.is_rename or not reads.isdisjoint(names or ()):
                        names = _and(names, reads)
            case ast.LineFormatStage(template):
                names = _and(names, compile_template(template).needs or ())
            case ast.KeepStage(labels):
                kept = set(names_of(labels))
                if not is_last_parser_behind:
                    names = kept if names is None else names & (kept | OF_ERRORS)
                names = _and(names, set_behind - kept)  # not shown, if they are set again (`EntryLabels.grouped_by`)
            case ast.DropStage(labels) if names is not None:
                if not is_last_parser_behind:
                    names -= {one for one in labels if isinstance(one, str)}
                names |= set_behind.intersection(names_of(labels))
            case _ if isinstance(stage, ParserStage):
                is_last_parser_behind = True
            case _:
                pass
    return None if names is None else with_sources(names)


def _and(names: set[str] | None, more: Iterable[str]) -> set[str] | None:
    return None if names is None else names | set(more)


def fields_read(names: frozenset[str] | None, common: Collection[str], more: Collection[str] = ()) -> list[str]:
    """The fields that labels of these names depend on, and `more`, which is all where nothing is parsed (None).

    Labels that all streams have in common hide fields of their names, unless what these are renamed to is read.
    """
    if names is None:
        return list(more)
    hidden = {name for name in common if name + EXTRACTED not in names}
    return sorted({*(names - hidden), *more})
