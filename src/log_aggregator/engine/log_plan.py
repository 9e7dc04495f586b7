"""What of a log query can be decided on columns before its pipeline runs on single rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce

import msgspec
import polars as pl

from log_aggregator.engine.columnar import line_filter_expression
from log_aggregator.engine.combinations import Combinations, ParserStage
from log_aggregator.engine.entry_labels import EXTRACTED
from log_aggregator.engine.label_filter import names_read
from log_aggregator.engine.leaf_plan import is_plain_parser, order_matters
from log_aggregator.engine.pipeline import Pipeline, compile_pipeline, line_filters_first
from log_aggregator.logql import ast
from log_aggregator.logql.ast import LogExpr, Stage
from log_aggregator.model.labels import Labels

# Stages that let every row pass.
_PASSING = (
    ast.JsonStage
    | ast.LogfmtStage
    | ast.RegexpStage
    | ast.PatternStage
    | ast.UnpackStage
    | ast.LineFormatStage
    | ast.LabelFormatStage
    | ast.DecolorizeStage
    | ast.DropStage
    | ast.KeepStage
)


@dataclass(frozen=True, slots=True)
class LogPlan:
    """`mask` is of lines that pass the leading line filters; `pipeline` is the rest, for the rows that are left.

    `passes`, if there is one, tells by labels whether rows surely fail: rows that it does not answer for do.
    """

    mask: pl.Expr | None = field(repr=False)
    passes: Combinations | None = field(repr=False)
    pipeline: Pipeline = field(repr=False)
    is_decided: bool
    """Whether every row that passes mask and `passes` passes the pipeline, where `passes` is sure."""


def plan_log(expr: LogExpr) -> LogPlan:
    masks: list[pl.Expr] = []
    rest: list[Stage] = []
    ordered = line_filters_first(expr.stages)
    for number, stage in enumerate(ordered):
        if not isinstance(stage, ast.LineFilterStage):
            rest += ordered[number:]
            break
        mask = line_filter_expression(stage)
        if mask is None:
            rest.append(stage)
        else:
            masks.append(mask)
    labelled = _labelled(rest)
    undecided = rest[len(labelled) :]
    return LogPlan(
        reduce(lambda left, right: left & right, masks) if masks else None,
        _combinations(labelled) if _filters(labelled) else None,
        compile_pipeline(rest),
        all(isinstance(stage, _PASSING) for stage in undecided),
    )


def _labelled(stages: Sequence[Stage]) -> list[Stage]:
    """The stages from the front that are a parser at most and label filters."""
    taken: list[Stage] = []
    for number, stage in enumerate(stages):
        if isinstance(stage, ast.LabelFilterStage) or (number == 0 and isinstance(stage, ParserStage)):
            taken.append(stage)
        else:
            break
    if taken and isinstance(taken[0], ParserStage) and not is_plain_parser(taken[0]):
        return []
    return [] if order_matters(stages, None) else taken


def _filters(stages: Sequence[Stage]) -> list[ast.LabelFilterStage]:
    return [stage for stage in stages if isinstance(stage, ast.LabelFilterStage)]


def _combinations(stages: Sequence[Stage]) -> Combinations:
    parser = stages[0] if isinstance(stages[0], ParserStage) else None
    names = {name for stage in _filters(stages) for name in names_read(stage.filter)}
    names |= {name.removesuffix(EXTRACTED) for name in names}
    outline = compile_pipeline([ast.JsonStage() if stage is parser else stage for stage in stages])

    def passes(stream: Labels, metadata: Mapping[str, str], fields: Mapping[str, str]) -> int | None:
        line = msgspec.json.encode(fields).decode()
        return None if outline.process(0, line, stream, metadata) is None else 1

    return Combinations(parser, frozenset(names), passes)
