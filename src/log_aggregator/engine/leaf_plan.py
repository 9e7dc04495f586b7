"""Whether a range aggregation can be computed on columns, and what of its entries it then needs.

The labels that an entry ends up with are a function of its stream, its metadata and the few fields that the pipeline
reads. So the pipeline need not run on every entry: it runs once, as the row-wise stages define it, on an *outline* for
each distinct combination of those, and all entries of the combination share the answer.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce

import msgspec
import polars as pl

from log_aggregator.engine.columnar import line_filter_expression
from log_aggregator.engine.combinations import ParserStage
from log_aggregator.engine.demand import filters_of
from log_aggregator.engine.entry_labels import ERROR, ERROR_DETAILS, EXTRACTED, PRESERVE_ERROR
from log_aggregator.engine.label_filter import names_read
from log_aggregator.engine.pipeline import line_filters_first
from log_aggregator.engine.samples import Sampler, compile_sampler
from log_aggregator.logql import ast
from log_aggregator.logql.ast import RangeAggregation, Stage
from log_aggregator.logql.pattern import parse_pattern
from log_aggregator.logql.template import compile_template
from log_aggregator.model.labels import Labels

_OF_ERRORS = frozenset((ERROR, ERROR_DETAILS, PRESERVE_ERROR))
_COMPARISONS = ast.NumberFilter | ast.DurationFilter | ast.BytesFilter
# What the unwrapped label of an outline says, so that it converts.
_UNWRAPPED = {"": "1", "bytes": "1B", "duration": "1s", "duration_seconds": "1s"}


@dataclass(frozen=True, slots=True)
class LeafPlan:
    """`names` are the labels that the result depends on; None means all of the stream's and the metadata's."""

    aggregation: RangeAggregation
    mask: pl.Expr | None = field(repr=False)  # of the lines that pass the line filters
    parser: ParserStage | None
    names: frozenset[str] | None
    sampler: Sampler = field(repr=False)
    """For entries whose fields are not known as columns."""
    _outline: Sampler = field(repr=False)

    @property
    def unwrap(self) -> str | None:
        """The label whose values are aggregated."""
        unwrap = self.aggregation.range.unwrap
        return unwrap.label if unwrap else None

    @property
    def counts_bytes(self) -> bool:
        return self.aggregation.operation.startswith("bytes_")

    def series(self, stream: Labels, metadata: Mapping[str, str], fields: Mapping[str, str]) -> Labels | None:
        """The series of entries with these labels; None where they do not count. Raises PipelineFailed."""
        unwrap = self.aggregation.range.unwrap
        if unwrap is not None:
            fields = {**fields, unwrap.label: _UNWRAPPED[unwrap.conversion]}
        sample = self._outline.process(0, msgspec.json.encode(fields).decode(), stream, metadata)
        return sample[0] if sample else None


def plan_leaf(aggregation: RangeAggregation) -> LeafPlan | None:
    """None where only the row-wise stages will do."""
    masks, stages = split_line_filters(aggregation.range.log.stages)
    if masks is None:
        return None
    parsers = [stage for stage in stages if isinstance(stage, ParserStage)]
    if len(parsers) > 1 or not all(map(_depends_on_labels, stages)) or not _plain_parser(parsers):
        return None
    parser = parsers[0] if parsers else None
    if stages and parser is not None and stages[0] is not parser:
        return None
    names = _names(aggregation, stages)
    if names is None and parser is not None:
        return None
    unwrap = aggregation.range.unwrap
    if unwrap is not None and (parser is None or names is None or unwrap.label in names or _is_made(unwrap.label)):
        return None
    if order_matters(stages, unwrap):
        return None
    outline_stages = tuple(ast.JsonStage() if stage is parser else stage for stage in stages)
    log = replace(aggregation.range.log, stages=outline_stages)
    outline = replace(aggregation, range=replace(aggregation.range, log=log))
    mask = reduce(lambda left, right: left & right, masks) if masks else None
    return LeafPlan(aggregation, mask, parser, names, compile_sampler(aggregation), compile_sampler(outline))


def split_line_filters(stages: Sequence[Stage]) -> tuple[list[pl.Expr] | None, list[Stage]]:
    """The leading line filters as masks, in Loki's order, and the other stages. None if one has no columnar form."""
    ordered = line_filters_first(stages)
    masks: list[pl.Expr] = []
    for number, stage in enumerate(ordered):
        if not isinstance(stage, ast.LineFilterStage):
            return masks, ordered[number:]
        mask = line_filter_expression(stage)
        if mask is None:
            return None, ordered
        masks.append(mask)
    return masks, []


def _plain_parser(parsers: Sequence[ParserStage]) -> bool:
    return all(map(is_plain_parser, parsers))


def is_plain_parser(parser: ParserStage) -> bool:
    """Whether the labels it gives are fields of those names, in whatever order they are found."""
    if not isinstance(parser, ast.PatternStage):
        return not parser.extractions
    names = parse_pattern(parser.pattern).names
    return not any(_is_made(name) and (name in _OF_ERRORS or name.removesuffix(EXTRACTED) in names) for name in names)


def _is_made(name: str) -> bool:
    """Whether a label of this name may come from elsewhere than from a field of the name."""
    return name.endswith(EXTRACTED) or name in _OF_ERRORS


def order_matters(stages: Sequence[Stage], unwrap: ast.Unwrap | None) -> bool:
    """Filters are tried when a parser finds their field, and a comparison that fails lets every address pass."""
    filters = [leaf for node in (*filters_of(stages), *(unwrap.filters if unwrap else ())) for leaf in _leaves(node)]
    has_address = any(isinstance(one, ast.IpFilter) for one in filters)
    return has_address and any(isinstance(one, _COMPARISONS) for one in filters)


def _leaves(node: ast.LabelFilter) -> Iterator[ast.LabelFilter]:
    if isinstance(node, ast.AndFilter | ast.OrFilter):
        yield from _leaves(node.left)
        yield from _leaves(node.right)
    else:
        yield node


def _depends_on_labels(stage: Stage) -> bool:
    """Whether what the stage does follows from labels alone."""
    match stage:
        case ast.JsonStage() | ast.LogfmtStage() | ast.PatternStage():
            return True
        case ast.LabelFilterStage() | ast.DropStage() | ast.KeepStage():
            return True
        case ast.LabelFormatStage(assignments):
            return all(one.is_rename or _reads_labels(one.value) for one in assignments)
        case _:
            return False


def _reads_labels(text: str) -> bool:
    template = compile_template(text)
    return template.needs is not None and not template.uses_line and not template.uses_timestamp


def _names(aggregation: RangeAggregation, stages: Sequence[Stage]) -> frozenset[str] | None:
    grouping = aggregation.grouping
    if aggregation.operation == "absent_over_time":
        grouping = ast.Grouping(())
    if grouping is None or grouping.without:
        return None
    unwrap = aggregation.range.unwrap
    filters = unwrap.filters if unwrap else ()
    names = {*grouping.labels, *_names_of(stages), *(name for one in filters for name in names_read(one))}
    names |= {name.removesuffix(EXTRACTED) for name in names}
    return frozenset(names - _OF_ERRORS)


def _names_of(stages: Sequence[Stage]) -> Iterator[str]:
    """Every label that a stage reads or may remove."""
    for stage in stages:
        match stage:
            case ast.LabelFilterStage(node):
                yield from names_read(node)
            case ast.LabelFormatStage(assignments):
                for one in assignments:
                    yield one.name
                    yield from [one.value] if one.is_rename else compile_template(one.value).needs or ()
            case ast.DropStage(labels) | ast.KeepStage(labels):
                yield from (one if isinstance(one, str) else one.name for one in labels)
            case _:
                pass
