"""Whether a range aggregation can be computed on columns, and what it then needs (`engine.label_plan`)."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import dropwhile
from typing import Final

from log_aggregator.engine.columnar import CHANGES_LINE
from log_aggregator.engine.demand import filters_of
from log_aggregator.engine.entry_labels import ERROR, ERROR_DETAILS, EXTRACTED, OF_ERRORS, Demand, is_made
from log_aggregator.engine.label_filter import names_read
from log_aggregator.engine.label_plan import LabelPlan, depends_on_labels, names_needed, order_matters, plan_labels
from log_aggregator.engine.label_reader import KIND
from log_aggregator.engine.label_texts import LabelsLike
from log_aggregator.engine.leading import leaves, with_sources
from log_aggregator.engine.made_labels import MadeLabel
from log_aggregator.engine.parser_chain import field_key, name_of
from log_aggregator.engine.parsers import ParserStage, may_fail
from log_aggregator.engine.samples import PipelineFailed, compile_sampler, demand_of, grouping_of
from log_aggregator.logql import ast
from log_aggregator.logql.ast import RangeAggregation, Stage
from log_aggregator.logql.idle_formats import stages_in_use
from log_aggregator.logql.template import compile_template
from log_aggregator.model.labels import Labels

# What an outline has for the unwrapped label, so that it converts.
_UNWRAPPED = {"": "1", "bytes": "1B", "duration": "1s", "duration_seconds": "1s"}
# Stands before a name for its value, in outlines whose stages do not look at values.
_PLACEHOLDER: Final = secrets.token_hex(8)

_Fields = Mapping[str, str]


class OutlinedLeaf:
    """What the stages of an aggregation make of outlines, without the filters that are decided.

    Safe to use from several threads.
    """

    def __init__(self, plan: "LeafPlan", decided: frozenset[int], *, shows_errors: bool) -> None:
        """`shows_errors`: series may show that a parser has failed."""
        self._chain = plan.labels.chain
        self._unwrap = plan.aggregation.range.unwrap
        self._made_keys = plan.labels.made_keys
        self._unwrapped_made = plan.unwrapped_made
        stages = plan.labels.stages_without(decided)
        names = plan.given_names_at_the_start(stages)
        others = plan.looked_for - (names or frozenset())
        self.fields = names if names is None or not shows_errors else names | others
        """The fields that the series depends on; None for all."""
        self.presence_only = frozenset() if shows_errors or names is None else others
        """Fields of which only matters whether they are there: a parser looks for what the one before did not find."""
        # What has failed keeps all its labels, whatever the grouping.
        self.names = None if names is None or shows_errors else names | others
        """The labels of stream and metadata that the series depends on; None for all."""
        ignores_values = all(map(_ignores_values, stages))
        self.is_direct = self.names is not None and ignores_values
        """Whether no stage looks at values, so that outlines with the same fields differ in the same labels."""
        self.is_of_all = self.names is None and ignores_values
        """The same, where series have all labels: of most entries others."""
        # A parser tries those of labels that are made, too, where it finds a field of the name.
        tried = plan.labels.stages_without(decided - plan.labels.leading.of_made.keys())
        self.early = frozenset() if self.fields is None else _tried_early(plan.aggregation, tried)
        """The fields that entries must not have for outlines to tell."""
        outlined = with_stages(plan.aggregation, stages)
        if self._unwrap is not None:
            # Its filters are among the stages.
            bare = replace(self._unwrap, filters=())
            outlined = replace(outlined, range=replace(outlined.range, unwrap=bare))
        self._sampler = compile_sampler(outlined, _demand(plan, decided), self._chain.outline_process)
        self._like: dict[tuple[Labels, Labels, tuple[str, ...], tuple[str, ...]], LabelsLike | None] = {}

    def series(self, stream: Labels, metadata: Mapping[str, str], fields: _Fields) -> Labels | None:
        """The series of entries with these labels, `fields` as `Findings` has them; None where they do not count.

        Raises PipelineFailed.
        """
        if not self.is_direct:
            return self._series(stream, metadata, fields)
        kinds = tuple(value for key, value in fields.items() if name_of(key) == KIND)
        alike = (stream, tuple(metadata.items()), kinds, tuple(fields))
        if alike not in self._like:
            try:
                self._like[alike] = self.like(stream, metadata, fields)
            except PipelineFailed:
                self._series(stream, metadata, fields)  # with its values in the message
                raise
        like = self._like[alike]
        if like is None:
            return None
        return tuple((name, value if source is None else fields[source]) for name, value, source in like)

    def like(self, stream: Labels, metadata: Mapping[str, str], fields: _Fields) -> LabelsLike | None:
        """`series` of entries with these fields, whatever these hold. Raises PipelineFailed."""
        marks = {key: _PLACEHOLDER + key for key in fields if name_of(key) != KIND}
        sources = {mark: key for key, mark in marks.items()}
        series = self._series(stream, metadata, {**fields, **marks})
        if series is None:
            return None
        return tuple((name, value, sources.get(value)) for name, value in series)

    def _series(self, stream: Labels, metadata: Mapping[str, str], fields: _Fields) -> Labels | None:
        if self._unwrap is not None:
            keys = self._keys_of_unwrapped(self._unwrap.label, fields)
            fields = {**fields, **dict.fromkeys(keys, _UNWRAPPED[self._unwrap.conversion])}
        if self._made_keys:
            metadata = {**metadata, **{key: value for key, value in fields.items() if key in self._made_keys}}
            fields = {key: value for key, value in fields.items() if key not in self._made_keys}
        sample = self._sampler.process(0, self._chain.outline(fields), stream, metadata)
        return sample[0] if sample else None

    def _keys_of_unwrapped(self, label: str, fields: _Fields) -> Sequence[str]:
        """Of the label that is unwrapped: made, or else of the readings that find it, or the first with something."""
        if self._unwrapped_made is not None:
            return (self._unwrapped_made.key,)
        if found := [key for key in fields if name_of(key) == label]:
            return found
        readings = range(len(self._chain.readings))
        finding = (number for number in readings if fields.get(field_key(number, KIND)) != "nothing")
        return (field_key(next(finding, 0), label),)


def _demand(plan: "LeafPlan", decided: frozenset[int]) -> Demand:
    """What parsers are asked for by all stages; yet fields of filters that are decided are not looked at again."""
    demand = demand_of(plan.aggregation)
    first: dict[str, int] = {}
    for number, stage in enumerate(plan.labels.stages):
        if isinstance(stage, ast.LabelFilterStage) and not isinstance(stage.filter, ast.AndFilter | ast.OrFilter):
            (name,) = names_read(stage.filter)
            first.setdefault(name, number)
    checks = {name: check for name, check in demand.checks.items() if first.get(name) not in decided}
    return Demand(demand.names, checks)


def _ignores_values(stage: Stage) -> bool:
    """Whether it does the same to labels whatever they hold."""
    match stage:
        case ast.DropStage(labels) | ast.KeepStage(labels):
            return all(isinstance(one, str) for one in labels)
        case ast.LabelFormatStage(assignments):
            return all(one.is_rename and one.name not in OF_ERRORS for one in assignments)
        case ast.LabelFilterStage(node):
            return names_read(node) <= OF_ERRORS  # whether a parser fails does not follow from what it finds
        case ast.UnpackStage():
            return False  # it leaves another line
        case _:
            return isinstance(stage, ParserStage)


class LeafPlan:
    """A range aggregation with the plan of its stages, but the idle ones. Safe to use from several threads."""

    def __init__(self, aggregation: RangeAggregation, labels: LabelPlan) -> None:
        self.aggregation = aggregation
        self.labels = labels
        own = labels.stages[: len(labels.stages) - len(unwrap_filters(aggregation))]
        self.sampler = compile_sampler(with_stages(aggregation, own))
        """For single rows that the mask lets pass."""
        self.unwrap = aggregation.range.unwrap.label if aggregation.range.unwrap else None
        """The label whose values are aggregated."""
        self.counts_bytes = aggregation.operation.startswith("bytes_")
        self.made = labels.leading.last if self.counts_bytes else None
        """The line whose bytes are counted, if not the stored one's are."""
        self.unwrapped_made = next((one for one in labels.made if one.name == self.unwrap), None)
        """The label that is unwrapped, if a template makes it."""
        self.names_behind_filters = self.given_names_at_the_start(labels.stages_without(labels.leading.numbers))
        """The labels that are looked at when all leading filters are decided; None for all."""
        self.is_direct = all(map(_ignores_values, labels.stages_without(labels.leading.numbers)))
        """Whether no stage looks at values, when all leading filters are decided."""
        demand = demand_of(aggregation)
        parsers = [stage for stage in labels.stages if isinstance(stage, ParserStage)]
        self._has_several_parsers = len(parsers) > 1
        self._may_fail_behind = any(may_fail(parser) for parser in parsers[len(labels.chain.parsers) :])
        # Extractions are labels of what fails behind them, whether they are asked for or not.
        extracted = labels.chain.extracted if self._may_fail_behind else frozenset()
        extracted |= {name + EXTRACTED for name in extracted}
        self.looked_for = (
            with_sources((*(demand.names or ()), *extracted)) if self._has_several_parsers else frozenset()
        )
        """Labels that a later parser does not look for where those before have found all of them."""
        names = self.names_behind_filters
        of_line = with_sources(self.made.names) if self.made is not None else frozenset()
        self.names = None if names is None else names | labels.filter_names | self.looked_for | of_line
        """All labels that are looked at, but the one that is unwrapped; None for all."""
        self.may_show_errors = demand.keeps_errors or demand.names is None
        """Whether series show that a parser has failed: by the error, or by the labels that are left of its entry."""

    def given_names_at_the_start(self, stages: Sequence[Stage]) -> frozenset[str] | None:
        """The labels that the aggregation depends on before these stages of its plan, beside those that are made."""
        names = names_at_the_start(self.aggregation, stages)
        return None if names is None else names - self.labels.made_keys

    def outlined(self, decided: frozenset[int], *, may_fail: bool) -> OutlinedLeaf | None:
        """For rows of which these filters are decided, and in some of whose stored lines a parser `may_fail`.

        None where only single rows tell.
        """
        stages = self.labels.stages_without(decided)
        if not self.labels.are_outlined(decided) or not _is_outlined(self.aggregation, stages, self.labels.made):
            return None
        shows_errors = (may_fail or self._may_fail_behind) and self.may_show_errors and not _drops_errors(stages)
        if shows_errors and not self.labels.chain.is_single:
            return None  # among the labels of what has failed are those that lines are made of
        if shows_errors and self.unwrap is not None:
            # Only a second parser finds a value where one has failed; and it is among the labels of an error then.
            if self._has_several_parsers:
                return None
            shows_errors = False
        return OutlinedLeaf(self, decided, shows_errors=shows_errors)


def plan_leaf(aggregation: RangeAggregation) -> LeafPlan | None:
    """None where only the row-wise stages will do."""
    # Of values that convert, filters behind unwrap are filters before it.
    stages = [*stages_in_use(aggregation), *map(ast.LabelFilterStage, unwrap_filters(aggregation))]
    labels = plan_labels(stages, demand_of(aggregation))
    if labels is None or not labels.are_outlined(labels.leading.numbers):
        return None
    if not _is_outlined(aggregation, labels.stages_without(labels.leading.numbers), labels.made):
        return None
    plan = LeafPlan(aggregation, labels)
    if plan.counts_bytes and plan.made is None and any(isinstance(stage, CHANGES_LINE) for stage in labels.stages):
        return None  # it counts the bytes of other lines than those that are stored
    return plan


def unwrap_filters(aggregation: RangeAggregation) -> tuple[ast.LabelFilter, ...]:
    unwrap = aggregation.range.unwrap
    return () if unwrap is None else unwrap.filters


def with_stages(aggregation: RangeAggregation, stages: Sequence[Stage]) -> RangeAggregation:
    """With these instead of its own."""
    log = replace(aggregation.range.log, stages=tuple(stages))
    return replace(aggregation, range=replace(aggregation.range, log=log))


def _is_outlined(aggregation: RangeAggregation, stages: Sequence[Stage], made: Sequence[MadeLabel]) -> bool:
    """Whether outlines tell the series: what these stages make of an entry follows from labels that are known."""
    if not depends_on_labels(stages) or order_matters(filters_of(stages)):
        return False
    unwrap = aggregation.range.unwrap
    if unwrap is None:
        return True
    if not any(isinstance(stage, ParserStage) for stage in stages):
        return False
    own = [one for one in made if one.name == unwrap.label]
    if is_made(unwrap.label) or len(own) > 1 or sum(_may_make(stage, unwrap.label) for stage in stages) > len(own):
        return False
    names = names_at_the_start(aggregation, stages)
    # Series have all labels but the one that is unwrapped.
    read = names_needed(stages, frozenset()) if names is None else names
    return read is not None and read.isdisjoint((unwrap.label, *(one.key for one in own)))


def _tried_early(aggregation: RangeAggregation, stages: Sequence[Stage]) -> frozenset[str]:
    """The labels whose filters a parser may try again, or before the stages that make other labels for them.

    It does where all labels of the result count, or none does (`Demand.checks`): then, only until it has found all that
    is read, so the order of a line's fields matters.
    """
    if not demand_of(aggregation).checks:
        return frozenset()
    parsers = [number for number, stage in enumerate(stages) if isinstance(stage, ParserStage)]
    before = stages[: max(parsers, default=0)]
    made = dropwhile(lambda stage: not _makes_labels(stage), stages)
    return with_sources(name for node in filters_of([*before, *made]) for name in names_read(node))


def _drops_errors(stages: Sequence[Stage]) -> bool:
    """Whether no entry in which a parser fails is left with that error or its details, nor gets another one."""
    last_parser = max((number for number, stage in enumerate(stages) if isinstance(stage, ParserStage)), default=-1)
    behind = dropwhile(lambda stage: not _is_without_error(stage), stages[last_parser + 1 :])
    return next(behind, None) is not None and not any(map(_may_set_error, behind))


def _is_without_error(stage: Stage) -> bool:
    """Whether no entry has an error behind it, or the details of one, which are not dropped with it."""
    match stage:
        case ast.LabelFilterStage(ast.StringFilter(ast.Matcher(name, "=", ""))):
            return name == ERROR
        case ast.DropStage(labels):
            return ERROR in labels and ERROR_DETAILS in labels
        case _:
            return False


def _may_set_error(stage: Stage) -> bool:
    match stage:
        case ast.LabelFilterStage(node):
            return not all(isinstance(leaf, ast.StringFilter | ast.IpFilter) for leaf in leaves(node))
        case ast.LabelFormatStage(assignments):
            return not all(one.is_rename for one in assignments)
        case ast.LineFormatStage(template):
            return compile_template(template).simple is None
        case _:
            return False


def _makes_labels(stage: Stage) -> bool:
    match stage:
        case ast.DropStage(labels):
            return not all(isinstance(one, str) and one in OF_ERRORS for one in labels)
        case ast.LabelFormatStage() | ast.KeepStage():
            return True
        case _:
            return False


def _may_make(stage: Stage, label: str) -> bool:
    """Whether the label may come from the stage, or go."""
    match stage:
        case ast.LineFormatStage():
            return True
        case ast.LabelFormatStage(assignments):
            return any(label in (one.name, one.value) for one in assignments)
        case _:
            return False


def names_at_the_start(aggregation: RangeAggregation, stages: Sequence[Stage]) -> frozenset[str] | None:
    """The labels that the aggregation depends on, before these stages of it; None for all.

    Those that are made are among them under their keys.
    """
    grouping = grouping_of(aggregation)
    if grouping.without:
        # Where one of two parsers has failed, what is left of its error depends on what the other finds.
        if sum(isinstance(stage, ParserStage) for stage in stages) > 1:
            return None
        return names_needed(stages, None)
    return names_needed(stages, with_sources(grouping.labels))
