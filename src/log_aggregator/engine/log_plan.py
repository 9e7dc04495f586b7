"""What of a log query can be decided on columns before its pipeline runs on single rows (`engine.label_plan`)."""

from dataclasses import dataclass, field
from functools import reduce

import polars as pl

from log_aggregator.engine.columnar import line_filter_expression
from log_aggregator.engine.demand import filters_of
from log_aggregator.engine.label_plan import CHANGES_LINE, LabelPlan, leading_stages
from log_aggregator.engine.pipeline import Pipeline, compile_pipeline, line_filters_first
from log_aggregator.logql import ast
from log_aggregator.logql.ast import LogExpr, Stage

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

    `labels` are the stages from the front that tell by labels whether rows surely fail, if there are some.
    """

    mask: pl.Expr | None = field(repr=False)
    labels: LabelPlan | None = field(repr=False)
    pipeline: Pipeline = field(repr=False)
    is_decided: bool
    """Whether every row that passes mask and the filters of `labels` passes the pipeline."""


def plan_log(expr: LogExpr) -> LogPlan:
    masks: list[pl.Expr] = []
    rest: list[Stage] = []
    ordered = line_filters_first(expr.stages)
    for number, stage in enumerate(ordered):
        if isinstance(stage, CHANGES_LINE):
            rest += ordered[number:]
            break
        mask = line_filter_expression(stage) if isinstance(stage, ast.LineFilterStage) else None
        if mask is None:
            rest.append(stage)
        else:
            masks.append(mask)
    labels = leading_stages(rest)
    return LogPlan(
        reduce(lambda left, right: left & right, masks) if masks else None,
        labels if filters_of(labels.stages) else None,
        compile_pipeline(rest),
        all(isinstance(stage, _PASSING) for stage in rest[len(labels.stages) :]),
    )
