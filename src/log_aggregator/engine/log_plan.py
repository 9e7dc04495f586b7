"""What of a log query is decided on columns; its pipeline runs on the rows that are left (`engine.label_plan`)."""

from dataclasses import dataclass, field

import polars as pl

from log_aggregator.engine.columnar import push_line_filters
from log_aggregator.engine.label_plan import LabelPlan, plan_leading
from log_aggregator.engine.parsers import ParserStage
from log_aggregator.engine.pipeline import Pipeline, compile_pipeline
from log_aggregator.logql import ast
from log_aggregator.logql.ast import LogExpr

# Stages that let every row pass.
_PASSING = (
    ParserStage | ast.LineFormatStage | ast.LabelFormatStage | ast.DecolorizeStage | ast.DropStage | ast.KeepStage
)


@dataclass(frozen=True, slots=True)
class LogPlan:
    """`mask` is of lines that pass the filters of stored lines; `pipeline` is all other stages, for the rows it leaves.

    `labels` are those of them from the front whose filters columns may decide, if there is a filter among them.
    """

    mask: pl.Expr | None = field(repr=False)
    labels: LabelPlan | None = field(repr=False)
    pipeline: Pipeline = field(repr=False)
    is_decided: bool
    """Whether every row that passes mask and the filters of `labels` passes the pipeline."""


def plan_log(expr: LogExpr) -> LogPlan:
    pushed = push_line_filters(expr.stages)
    labels = plan_leading(pushed.rest)
    return LogPlan(
        pushed.predicate,
        labels if labels.has_filters else None,
        compile_pipeline(pushed.rest),
        all(isinstance(stage, _PASSING) for stage in pushed.rest[len(labels.stages) :]),
    )
