"""What a query will make of the labels that its parsers extract: worked out once, from its stages."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from log_aggregator.engine.entry_labels import EXTRACTED, Check, Demand
from log_aggregator.engine.label_filter import compile_label_filter, names_asked_for, names_read
from log_aggregator.logql.ast import (
    AndFilter,
    LabelFilter,
    LabelFilterStage,
    LabelFormatStage,
    LineFormatStage,
    OrFilter,
    Stage,
)
from log_aggregator.logql.template import compile_template


def demand_for_all(filters: Sequence[LabelFilter]) -> Demand:
    """Every label counts. Yet a line can be given up at the first label that a filter to come refuses."""
    return Demand(None, _checks(filters))


def demand_for_nothing(stages: Sequence[Stage], filters: Sequence[LabelFilter], needed: Collection[str]) -> Demand:
    """No label of the result counts: only those that stages and filters read, and the needed ones."""
    names = _needed(stages, filters, needed)
    return Demand(names, {} if names == frozenset() else _checks(filters))


def demand_for_some(stages: Sequence[Stage], filters: Sequence[LabelFilter], needed: Collection[str]) -> Demand:
    return Demand(_needed(stages, filters, needed))


def filters_of(stages: Sequence[Stage]) -> list[LabelFilter]:
    return [stage.filter for stage in stages if isinstance(stage, LabelFilterStage)]


def _checks(filters: Sequence[LabelFilter]) -> Mapping[str, Check]:
    """The first filter of each label; a combination of filters is no check."""
    checks: dict[str, Check] = {}
    for node in filters:
        if not isinstance(node, AndFilter | OrFilter):
            (name,) = names_read(node)
            checks.setdefault(name, compile_label_filter(node))
    return checks


def _needed(stages: Sequence[Stage], filters: Sequence[LabelFilter], needed: Collection[str]) -> frozenset[str] | None:
    names = set(needed)
    for node in filters:
        names |= names_asked_for(node)
    for template in _templates(stages):
        reads = compile_template(template).needs
        if reads is None:
            return None
        names |= reads
    names |= _renamed(stages)
    # A field whose name is taken is looked for under its own name.
    return frozenset(names | {name.removesuffix(EXTRACTED) for name in names})


def _templates(stages: Sequence[Stage]) -> Iterator[str]:
    for stage in stages:
        match stage:
            case LineFormatStage(template):
                yield template
            case LabelFormatStage(assignments):
                yield from (step.value for step in assignments if not step.is_rename)


def _renamed(stages: Sequence[Stage]) -> set[str]:
    return {
        step.value
        for stage in stages
        if isinstance(stage, LabelFormatStage)
        for step in stage.assignments
        if step.is_rename
    }
