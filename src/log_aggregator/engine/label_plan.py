"""How the stages of a pipeline are worked out on columns: line filters, then parsers, then filters of labels.

What the stages behind them make of an entry follows from its stream, its metadata and the few fields that they read.
So they need not run on every entry: they run once, as the row-wise stages define it, on an *outline* for each distinct
combination of those, and all entries of the combination share the answer.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from log_aggregator.engine.columnar import CHANGES_LINE, push_line_filters
from log_aggregator.engine.demand import filters_of
from log_aggregator.engine.entry_labels import EXTRACTED, Demand, EntryLabels
from log_aggregator.engine.label_columns import LabelColumns, either, judged
from log_aggregator.engine.label_filter import compile_label_filter, names_read
from log_aggregator.engine.parsed_fields import OF_ERRORS, Parsed, ParsedFields, ParserStage, has_columns
from log_aggregator.formats.chunk import FIELD_PREFIX
from log_aggregator.logql import ast
from log_aggregator.logql.ast import Stage
from log_aggregator.logql.template import compile_template
from log_aggregator.model.labels import Labels

_COMPARISONS = ast.NumberFilter | ast.DurationFilter | ast.BytesFilter
_PARSERS = ast.JsonStage | ast.LogfmtStage | ast.RegexpStage | ast.PatternStage | ast.UnpackStage


@dataclass(frozen=True, slots=True)
class Judgement:
    """The leading filters of labels, as far as columns tell.

    `taken` are the numbers of the stages that are decided; of each row, whether it passes these, or may (None: all),
    and whether that is for the row-wise stages to tell (None: of none).
    """

    taken: frozenset[int]
    passes: pl.Series | None = field(repr=False)
    unsure: pl.Series | None = field(repr=False)


UNDECIDED: Final = Judgement(frozenset(), None, None)


class LabelPlan:
    """`stages` are those behind the line filters. `filters` are numbers of stages: label filters that see what parsers,
    stream and metadata give, with whether they stand behind the parsers."""

    def __init__(
        self,
        mask: pl.Expr | None,
        stages: Sequence[Stage],
        parsers: Sequence[ParserStage],
        filters: Mapping[int, bool],
    ) -> None:
        """`mask` is of the lines that pass the line filters."""
        self.mask = mask
        self.stages = tuple(stages)
        self.parsed = ParsedFields(parsers)
        self.filters = filters
        self.filter_names = with_sources(name for number in filters for name in names_read(self._filter(number)))
        """The labels that the filters read."""
        self.numbers = self._numbers()
        """The columns of the fields that filters only compare with numbers."""

    def outline(self, taken: frozenset[int] = frozenset()) -> list[Stage]:
        """The stages for a line of `ParsedFields.text`, without the filters that are decided."""
        return [
            self.parsed.outline(stage) if isinstance(stage, ParserStage) and self._is_own(stage) else stage
            for number, stage in enumerate(self.stages)
            if number not in taken
        ]

    def _is_own(self, stage: ParserStage) -> bool:
        """Whether the parser reads the line as it was pushed."""
        return any(stage is parser for parser in self.parsed.parsers)

    def rest(self, taken: frozenset[int]) -> list[Stage]:
        return [stage for number, stage in enumerate(self.stages) if number not in taken]

    def filter_names_of(self, taken: frozenset[int]) -> frozenset[str]:
        """The labels that all filters read but those taken."""
        return with_sources(name for node in filters_of(self.rest(taken)) for name in names_read(node))

    def _numbers(self) -> set[str]:
        texts: set[str] = set()
        numbers: set[str] = set()
        for number in self.filters:
            for leaf in leaves(self._filter(number)):
                (numbers if isinstance(leaf, ast.NumberFilter) else texts).update(names_read(leaf))
        return set(map(self.column, numbers)) - set(map(self.column, texts))

    def column(self, label: str) -> str:
        """The column that the label's field may be stored in."""
        return FIELD_PREFIX + (self.parsed.field_of(label) or "")

    def judge(self, frame: pl.DataFrame, streams: Mapping[int, Labels], parsed: Parsed) -> Judgement:
        """`streams` are those of the rows, by number."""
        columns = LabelColumns(frame, streams, parsed.values)
        passes = unsure = None
        taken = set()
        for number, is_parsed in self.filters.items():
            if parsed.kinds is not None and _has_address(self.stages[number]):
                continue  # any address passes where a parser has failed
            verdict = judged(
                self._filter(number),
                lambda name, is_parsed=is_parsed: self._column(columns, name, is_parsed=is_parsed),  # type: ignore[misc]
            )
            if verdict is None:
                continue
            taken.add(number)
            own = verdict.passes if verdict.unsure is None else verdict.passes | verdict.unsure
            passes = own if passes is None else passes & own
            unsure = either(unsure, verdict.unsure)
        return Judgement(frozenset(taken), passes, unsure)

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


def plan_labels(stages: Sequence[Stage]) -> LabelPlan | None:
    """None where the parsers have no columnar form."""
    pushed = push_line_filters(stages)
    rest = pushed.rest
    at = next((number for number, stage in enumerate(rest) if isinstance(stage, CHANGES_LINE)), len(rest))
    parsers = [stage for stage in rest[:at] if isinstance(stage, _PARSERS)]
    own = [stage for stage in parsers if isinstance(stage, ParserStage)]
    if len(own) != len(parsers) or not has_columns(own):
        return None
    leading = _leading(rest, len(own))
    if order_matters(filters_of(stages)):
        leading = {number: parsed for number, parsed in leading.items() if not _has_address(rest[number])}
    return LabelPlan(pushed.predicate, rest, own, leading)


def leading_stages(stages: Sequence[Stage]) -> LabelPlan:
    """As many from the front as are parsers that have columns, filters of labels, or drop and keep labels by name."""
    taken: list[Stage] = []
    parsers: list[ParserStage] = []
    is_ordered = order_matters(filters_of(stages))
    for stage in stages:
        if is_ordered and _has_address(stage):
            break
        if isinstance(stage, ParserStage) and has_columns([*parsers, stage]):
            parsers.append(stage)
        elif not isinstance(stage, ast.LabelFilterStage | ast.DropStage | ast.KeepStage):
            break
        taken.append(stage)
    return LabelPlan(None, taken, parsers, _leading(taken, len(parsers)))


def _leading(stages: Sequence[Stage], parsers: int) -> dict[int, bool]:
    """The filters whose labels no stage before them has changed."""
    found: dict[int, bool] = {}
    seen = 0
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
                if seen == parsers or (seen == 0 and not _passes_nothing(node)):
                    found[number] = seen > 0
            case ast.DropStage(labels):
                changed.update(_names_of(labels))
            case ast.KeepStage(labels):
                own = {one for one in labels if isinstance(one, str)}
                kept = own if kept is None else kept & own
            case ast.LabelFormatStage(assignments):
                changed.update(*((one.name, one.value) if one.is_rename else (one.name,) for one in assignments))
            case _ if isinstance(stage, ParserStage) and seen < parsers and not changed - OF_ERRORS and kept is None:
                seen += 1
            case _:
                break
    return found


def _passes_nothing(node: ast.LabelFilter) -> bool:
    """Whether entries without labels pass."""
    return compile_label_filter(node)(EntryLabels(0, {}, {}, Demand()))


def leaves(node: ast.LabelFilter) -> Iterator[ast.LabelFilter]:
    if isinstance(node, ast.AndFilter | ast.OrFilter):
        yield from leaves(node.left)
        yield from leaves(node.right)
    else:
        yield node


def _has_address(stage: Stage) -> bool:
    return isinstance(stage, ast.LabelFilterStage) and any(
        isinstance(leaf, ast.IpFilter) for leaf in leaves(stage.filter)
    )


def order_matters(filters: Iterable[ast.LabelFilter]) -> bool:
    """Filters are tried when a parser finds their field, and a comparison that fails lets every address pass."""
    found = [leaf for node in filters for leaf in leaves(node)]
    return any(isinstance(one, ast.IpFilter) for one in found) and any(isinstance(one, _COMPARISONS) for one in found)


def depends_on_labels(stages: Sequence[Stage]) -> bool:
    """Whether what the stages do follows from labels alone, and from the line that one of them makes of labels."""
    is_made = False
    for stage in stages:
        match stage:
            case ast.LineFormatStage(template):
                if not _reads_labels(template):
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
            case ast.KeepStage(labels):
                kept = set(_names_of(labels))
                names = kept if names is None else names & (kept | OF_ERRORS)
            case ast.DropStage(labels) if names is not None and not is_last_parser_behind:
                names -= {one for one in labels if isinstance(one, str)}
            case _ if isinstance(stage, _PARSERS):
                is_last_parser_behind = True
            case _:
                pass
    return None if names is None else with_sources(names)


def _and(names: set[str] | None, more: Iterable[str]) -> set[str] | None:
    return None if names is None else names | set(more)


def with_sources(names: Iterable[str]) -> frozenset[str]:
    """With the fields that have another name if it is taken. Errors are no fields."""
    found = set(names)
    return frozenset(found | {name.removesuffix(EXTRACTED) for name in found}) - OF_ERRORS


def _names_of(labels: Iterable[str | ast.Matcher]) -> Iterator[str]:
    return (one if isinstance(one, str) else one.name for one in labels)


def fields_read(names: frozenset[str] | None, common: Collection[str], more: Collection[str] = ()) -> list[str]:
    """The fields that matter: labels that all streams have in common hide fields of their names, unless renamed."""
    if names is None:
        return list(more)
    hidden = {name for name in common if name + EXTRACTED not in names}
    return sorted({*(names - hidden), *more})
